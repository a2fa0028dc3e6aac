"""MedMNIST: chest X-rays."""

from __future__ import annotations

import numpy as np
import torch

from ...errors import unknown
from ...tasks import Binary, Labelled, Task
from ..options import Options, Reader
from ._pixels import encoded, resized, size_of, unit
from .home import arrays
from .recipe import Recipe, Source, verbatim


def read(argument: str, options: Options) -> list[Task]:
    """Read ``medmnist:pneumonia``: chest X-rays, 4,708, 524 and 624 of 28 x 28.

    References:
        Yang et al. (Scientific Data 2023), https://arxiv.org/abs/2110.14795
    """
    part, _, size = argument.partition(":")
    if part != "pneumonia":
        raise unknown("part of `medmnist`", part, ["pneumonia"])
    z = arrays("medmnist/pneumoniamnist.npz", RECIPES)
    labelled = {}
    for name, key in (("train", "train"), ("valid", "val"), ("test", "test")):
        x = resized(unit(z[f"{key}_images"])[:, None], size_of(size, options))
        labelled[name] = Labelled(x, torch.from_numpy(z[f"{key}_labels"].reshape(-1).astype(np.float32)))
    kind = Binary(("normal", "pneumonia"))
    encoding = encoded(labelled["train"], "pneumonia", kind)
    return [Task("pneumonia", kind, **labelled, encoding=encoding)]  # type: ignore[arg-type]


RECIPES = (
    Recipe(
        ("medmnist/pneumoniamnist.npz",),
        (
            Source(
                "https://zenodo.org/records/10519652/files/pneumoniamnist.npz?download=1",
                "md5:28209eda62fecd6e6a2d98b1501bb15f",
            ),
        ),
        verbatim,
    ),
)

READER = Reader(read, 'chest X-rays, 28 x 28: "medmnist:pneumonia"', sized=True)
