"""Load a model to use it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from .. import engine, models
from ..datasets import Encoding, encoding_from_json
from ..errors import wrong
from ..meta import FewShot
from ..models._files import AGAIN, DESCRIPTION
from ..records import understood
from .model import Model


def load(
    directory: str | os.PathLike[str],
    *,
    device: str = "auto",
    backbone: nn.Module | None = None,
    heads: Mapping[str, nn.Module] | None = None,
    base: nn.Module | None = None,
) -> Model:
    """Load a saved model to use it, on this machine's device, whatever it was trained on.

    Models of all origins are one: what ``hs.models.save`` wrote, a comparison's (``runs/x/models/NAME``,
    ``result.best.save``), a run's (``runs/x/model``), and ``FewShot``'s. Nothing is unpickled, and no code
    comes from the files.

    Args:
        directory: of the model.
        device: ``"auto"`` for the fastest of this machine, or its name, as in ``"cpu"``, ``"cuda:1"``.
        backbone: a module to fill, where the saved one was not built by ``hs.backbone``.
        heads: modules to fill, where a saved one is other than linear layers with ReLUs between.
        base: the pretrained backbone whose weights a slim model points to; one that ``hs.backbone`` knows is
            built where it is left out, if its weights are on this machine.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged or altered, this machine does not have the device, or the weights of
            ``base`` are others than those that the model points to.

    Example:
        >>> import tempfile, torch
        >>> from headstart.models import Net, mlp, save
        >>> from headstart.tasks import Multiclass
        >>> net = Net(mlp(2), {"coins": Multiclass(["head", "tail"]).head(40)})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model = load(save(net, folder, kinds={"coins": Multiclass(["head", "tail"])}), device="cpu")
        >>> model
        Model(coins: 2 classes (head, tail); on cpu)
        >>> model.predict_proba(torch.zeros(3, 2)).shape
        torch.Size([3, 2])
    """
    place = engine.device(device)
    saved = models.load(directory, backbone=backbone, heads=heads, base=base)
    about, notes = saved.encoding or {}, saved.notes or {}
    few = FewShot.load(directory, backbone=backbone, base=base) if "fewshot" in notes else None
    encoding = _encoding(Path(directory), about) if "reader" in about else None
    if few is not None:
        few.encoding = encoding
    return Model(
        (few or saved).net.to(place),
        saved.kinds,
        encoding,
        notes,
        few,
        where=f"model {directory}",
        directory=Path(directory),
    )


def _encoding(directory: Path, about: Mapping[str, Any]) -> Encoding:
    """Make the encoding that a description tells of."""
    with understood(directory / DESCRIPTION, hint=AGAIN):
        made = encoding_from_json(about)
        if 0 in made.row_shape():
            what = f"encoding in `{directory / DESCRIPTION}`"
            raise wrong(what, expected="of rows that hold something", found=made.row_shape(), hint=AGAIN)
        return made
