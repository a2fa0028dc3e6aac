"""Write a text model of transformers as a folder, as ``hf:DIR`` and transformers itself read it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from torch import nn

from ...atomic import write_atomic, writing
from ...errors import wrong
from ..net import as_backbone
from .hf import import_transformers, quiet
from .tokenizer import FILE


def save_hf(backbone: nn.Module, folder: str | os.PathLike[str], tokenizer: str = "") -> Path:
    """Write a text model that ``hf`` built as a folder: configuration, weights in safetensors, tokenizer,
    pooling.

    ``hs.backbone("hf:FOLDER")`` reads it as it reads any model that was downloaded.

    Args:
        backbone: as ``hf`` builds it, and whole.
        folder: made where it is not there.
        tokenizer: the text of the ``tokenizer.json`` that cuts its rows; the backbone's own where it is left
            out.

    Returns:
        the folder.

    Raises:
        ValueError: if the backbone is no such model, or there is no tokenizer.
        OSError: if the files cannot be written.

    Example:
        >>> import tempfile, torch
        >>> from headstart.datasets import train_tokenizer
        >>> from headstart.models import backbone, hf
        >>> config = {"model_type": "bert", "vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1}
        >>> config |= {"num_attention_heads": 2, "intermediate_size": 8}
        >>> small = hf("new", weights=None, config=config)
        >>> with tempfile.TemporaryDirectory() as at:
        ...     again = backbone(f"hf:{save_hf(small, at, train_tokenizer(['a good nut'], 60))}")
        >>> x = torch.tensor([[5, 7, 6, 0]])
        >>> torch.equal(again.eval()(x), small.eval()(x))
        True
    """
    about: Any = as_backbone(backbone)
    transformers: Any = import_transformers()
    model = getattr(about, "model", None)
    if about is None or about.cut is not None or not isinstance(model, transformers.PreTrainedModel):
        found = type(backbone).__name__ if about is None or about.cut is None else "one that is cut"
        raise wrong("`backbone`", expected="a text model of transformers, as `hf` builds it", found=found)
    text = tokenizer or about.tokenizer
    if not text:
        raise wrong("`tokenizer`", expected="the text of a tokenizer.json", found="none")
    place = Path(folder)
    with writing(place), quiet(transformers):
        (place / "1_Pooling").mkdir(parents=True, exist_ok=True)
        model.save_pretrained(place)
    pooling = {"word_embedding_dimension": about.width} | {
        f"pooling_mode_{name}": about.pooling == short for short, name in _POOLINGS.items()
    }
    modules = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        *[("2_Normalize", "Normalize")] * about.normalise,
    ]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (path, name) in enumerate(modules)
    ]
    write_atomic(place / "1_Pooling" / "config.json", json.dumps(pooling, indent=1))
    write_atomic(place / "modules.json", json.dumps(listed, indent=1))
    write_atomic(place / FILE, text)
    return place


_POOLINGS = {"mean": "mean_tokens", "cls": "cls_token"}
