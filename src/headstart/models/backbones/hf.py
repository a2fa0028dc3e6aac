"""Models of the library transformers, as encoders: those of text, and (in ``hf_images``) of images.

Shapes: ``B`` rows, ``L`` tokens, ``D`` features.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import explain, wrong
from ...tasks import X
from ..net import Backbone
from .hf_images import FILE as PIXELS
from .hf_images import SETTINGS as OF_IMAGES
from .hf_images import hf_image
from .hub import fetched
from .provider import Provider, Shape, check_settings
from .tokenizer import FILE, at_tokens, mean_over, read_tokenizer, tokens_of
from .torchvision import import_torchvision

POOLINGS = ("mean", "cls")
HEADS = ("pooler.",)  # what a checkpoint need not hold: it is dropped
SETTINGS = ("pooling", "normalise", "config")


def import_transformers() -> ModuleType:
    """Import transformers, also beside a CPU build of torch: it imports torchvision where that is.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    with suppress(ModuleNotFoundError):
        import_torchvision()
    try:
        return importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        hint = 'pip install "headstart[hf]"'
        message = explain("transformers", expected="installed", found="no such package", hint=hint)
        raise ModuleNotFoundError(message, name="transformers") from None


@final
class _Transformer(Backbone):
    def __init__(self, use: str, model: nn.Module, pooling: str, normalise: bool) -> None:
        super().__init__()
        config: Any = model.config
        if pooling not in POOLINGS:
            raise wrong(f"`pooling` of {use!r}", expected='"mean" or "cls"', found=f'"{pooling}"')
        asked = inspect.signature(model.forward).parameters
        if "input_ids" not in asked or "pixel_values" in asked or config.is_encoder_decoder:
            both = "pixel_values" in asked
            raise wrong(
                f"model of {use!r}",
                expected="an encoder or a decoder of text, or a model of images",
                found=f"one of type {config.model_type!r}",
                hint="save its part for images by itself: `model.vision_model.save_pretrained(DIR)`"
                if both
                else "",
            )
        if hasattr(model, "pooler"):
            model.pooler = None  # type: ignore[assignment]
        about = json.loads(config.to_json_string(use_diff=False)) | {"dtype": "float32"}
        about.pop("_name_or_path", None)
        self.use = use
        self.settings = {"config": about, "pooling": pooling, "normalise": normalise}
        self.model, self.pooling, self.normalise = model, pooling, normalise
        self.compared = normalise
        self.width = config.hidden_size
        self.pad = config.pad_token_id or 0
        self.offset = _offset(config.pad_token_id)
        self.limit = _positions(about)
        self.numbers = model.get_input_embeddings().num_embeddings + self.offset  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        hidden, there = self._tokens(x)
        z = hidden[:, 0] if self.pooling == "cls" else mean_over(hidden, there)
        return F.normalize(z, dim=1) if self.normalise else z

    def places(self, x: Tensor) -> Tensor:
        """Return the last hidden state of each token, ``(B, L, D)``, 0 where it is padding."""
        return at_tokens(self._tokens(x)[0], x)

    def _tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last hidden states ``(B, l, D)``, and which of them are of tokens, ``(B, l)``."""
        x, there = tokens_of(x, self.use, self.numbers)
        if x.shape[1] > self.limit:
            expected = f"of at most {self.limit} tokens"
            raise wrong(f"rows of {self.use!r}", expected=expected, found=x.shape[1])
        ids = torch.where(there & (x > 0), x - self.offset, self.pad)
        return self.model(input_ids=ids, attention_mask=there.long()).last_hidden_state, there

    def mask(self, x: X) -> Tensor | None:
        assert isinstance(x, Tensor)
        return tokens_of(x, self.use, self.numbers)[1]


def _offset(pad: int | None) -> int:
    """Say by how much numbers in rows are larger than the model's."""
    return 0 if pad == 0 else 1


def _positions(config: Mapping[str, Any]) -> int:
    """Say how many tokens a model reads; the positions of some begin behind the number of padding."""
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    pad = config.get("pad_token_id")
    return int(positions) - (pad + 1 if pad else 0) if positions else 1 << 20


def hf(
    name: str,
    *,
    weights: str | None = "default",
    pooling: str | None = None,
    normalise: bool | None = None,
    config: Mapping[str, Any] | None = None,
) -> Backbone:
    """Build a text model of transformers: the mean, or the first, of the tokens' last hidden states.

    Rows are token numbers that end in 0, as ``tokenizer`` says them; padding is not attended to. Weights are
    read from safetensors, or from a ``.bin`` without unpickling objects. No code comes with a model.

    Args:
        name: a folder with ``config.json`` and ``tokenizer.json``, or a name of huggingface.co, such as
            ``"sentence-transformers/all-MiniLM-L6-v2"``.
        weights: ``None`` for random ones; else those in the folder.
        pooling: ``"mean"`` over the tokens or ``"cls"``, the first; as ``1_Pooling/config.json`` says, or
            the mean, where it is left out.
        normalise: scale features to length 1; as ``modules.json`` says where it is left out.
        config: of the architecture, in place of the one in the folder, which is then not read.

    Shape:
        ``x (B, L)`` integers; returns ``(B, width)``. Its ``places(x)`` are the last hidden states of the
        tokens, ``(B, L, width)``, not normalised.

    Raises:
        FileNotFoundError: if the folder or a file is not there.
        ValueError: if weights are missing in the file, or the model is none of text.
        ConnectionError: if files have to be fetched and cannot be.
        ModuleNotFoundError: if transformers is not installed.

    References:
        https://huggingface.co/docs/transformers; Reimers & Gurevych (EMNLP 2019), section 3, for the
        poolings, https://arxiv.org/abs/1908.10084
    """
    use = f"hf:{name}"
    if weights not in (None, "default"):
        raise wrong(f"`weights` of {use!r}", expected='"default" or None', found=f'"{weights}"')
    model, folder = _model(name, weights, config)
    if folder is None:
        return _Transformer(use, model, pooling or "mean", bool(normalise))
    about = _sentences(folder)
    built = _Transformer(
        use,
        model,
        about["pooling"] if pooling is None else pooling,
        about["normalise"] if normalise is None else normalise,
    )
    built.tokenizer = tokenizer(name)
    return built


def _model(name: str, weights: str | None, config: Mapping[str, Any] | None) -> tuple[nn.Module, Path | None]:
    """Build a model by what its folder, or a saved model, says of it; the folder, where one was read."""
    transformers = import_transformers()
    if config is not None:
        if weights is not None:
            raise wrong(f"`config` of 'hf:{name}'", expected="left out beside weights", found="given")
        return _new(transformers, transformers.AutoConfig.for_model(**config)), None
    folder = _folder(name)
    return _new(transformers, _config(transformers, folder)) if weights is None else _loaded(folder), folder


def _config(transformers: Any, folder: Path) -> Any:
    with quiet(transformers):
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True)


def _new(transformers: Any, config: Any) -> nn.Module:
    config.use_cache = False
    return transformers.AutoModel.from_config(config, dtype=torch.float32)


def _loaded(folder: Path) -> nn.Module:
    """Load a model, and refuse one of which weights are missing."""
    transformers = import_transformers()
    config = _config(transformers, folder)
    config.use_cache = False
    safe = any(folder.glob("*.safetensors"))
    with quiet(transformers):
        try:
            model, info = transformers.AutoModel.from_pretrained(
                folder, config=config, local_files_only=True, use_safetensors=safe, weights_only=True,
                output_loading_info=True, dtype=torch.float32,
            )  # fmt: skip
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            expected = "weights of the model that `config.json` describes"
            raise wrong(f"`{folder}`", expected=expected, found=str(error).strip().splitlines()[0]) from error
    missing = sorted(name for name in info["missing_keys"] if not name.startswith(HEADS))
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise wrong(
            f"weights in `{folder}`",
            expected="all tensors of the model",
            found=f"{len(missing)} missing ({shown})",
            hint="take the whole checkpoint; `weights=None` draws new weights",
        )
    return model


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Keep the library from printing: what is wrong is raised."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


# The folder of a model.


def _folder(name: str) -> Path:
    """Find the folder of a model, or fetch it."""
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            expected, hint = "with config.json", "save a model with `save_pretrained`"
            raise wrong(f"folder `{name}`", expected=expected, found="none in it", hint=hint)
        return folder
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        expected = "a folder, or a name of huggingface.co"
        raise wrong(f'"hf:{name}"', expected=expected, found="no such folder", error=FileNotFoundError)

    def fetch(hub: Any, offline: bool) -> str:
        files = ["*.json", "*.safetensors"]
        found = hub.snapshot_download(name, allow_patterns=files, local_files_only=offline)
        if not any(Path(found).glob("*.safetensors")):
            found = hub.snapshot_download(name, allow_patterns=["*.bin"], local_files_only=offline)
        return found

    return fetched(f"hf:{name}", name, fetch, "name a folder that holds the model, as in hf:models/minilm")


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _sentences(folder: Path) -> dict[str, Any]:
    """Say how features become of tokens, as sentence-transformers keeps it beside a model."""
    modules = [module["type"].rpartition(".")[2] for module in _json(folder / "modules.json") or []]
    odd = [name for name in modules if name not in ("Transformer", "Pooling", "Normalize")]
    if odd:
        expected = "a transformer, a pooling and a normalisation"
        raise wrong(f"`{folder / 'modules.json'}`", expected=expected, found=", ".join(odd))
    about = _json(folder / "1_Pooling" / "config.json")
    chosen = [key.removeprefix("pooling_mode_") for key, value in about.items() if value is True]
    named = about.get("pooling_mode") or ",".join(c for c in chosen if c != "include_prompt") or "mean"
    pooling = {"mean_tokens": "mean", "cls_token": "cls"}.get(named, named)
    return {"pooling": pooling, "normalise": "Normalize" in modules}


def tokenizer(name: str, settings: Mapping[str, Any] | None = None) -> str:
    """Read the tokenizer of a model, cut to what the model reads."""
    folder = _folder(name)
    config = _json(folder / "config.json")
    pad = config.get("pad_token_id")
    limits = [
        _positions(config),
        _json(folder / "sentence_bert_config.json").get("max_seq_length"),
        _json(folder / "tokenizer_config.json").get("model_max_length"),
    ]
    limit = min(int(n) for n in limits if n)
    return read_tokenizer(folder / FILE, limit=limit, padding=pad == 0, markers=True)


def _of_images(name: str, config: Mapping[str, Any] | None = None) -> bool:
    """Tell whether a model takes pixels."""
    transformers = import_transformers()
    if config is None:
        made = _config(transformers, _folder(name))
    else:
        made = transformers.AutoConfig.for_model(**config)
    known = type(made) in transformers.AutoModel._model_mapping
    kind = transformers.AutoModel._model_mapping[type(made)] if known else None
    return getattr(kind, "main_input_name", "") == "pixel_values"


def _build(name: str, inputs: Shape | None, weights: str | None, settings: dict[str, Any]) -> Backbone:
    use = f"hf:{name}"
    if not _of_images(name, settings.get("config")):
        check_settings(use, settings, SETTINGS)
        return hf(name, weights=weights, **settings)
    check_settings(use, settings, OF_IMAGES)
    if weights not in (None, "default"):
        raise wrong(f"`weights` of {use!r}", expected='"default" or None', found=f'"{weights}"')
    how = {key: settings[key] for key in ("pixels", "size", "raw") if key in settings}
    model, folder = _model(name, weights, settings.get("config"))
    return hf_image(use, model, folder=folder, **how)


def _looks_at_images(name: str) -> bool:
    """Tell by the files beside a model what it reads, without a look at the model."""
    folder = _folder(name)
    return (folder / PIXELS).is_file() and not (folder / FILE).is_file()


def _tokenizer(name: str, settings: Mapping[str, Any]) -> str:
    return "" if _looks_at_images(name) else tokenizer(name)


def _told(name: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"raw": True} if _looks_at_images(name) else {}


HF = Provider(
    names={"hf:DIR": "a model of transformers, in a folder or of huggingface.co, e.g. hf:models/minilm"},
    build=_build,
    told=_told,
    tokenizer=_tokenizer,
)
