"""USPS: digits of another scanner."""

from __future__ import annotations

import bz2
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...tasks import Task
from ..options import Options, Reader
from ._pixels import pictures, size_of
from .home import arrays
from .recipe import Content, Recipe, Source


def read(argument: str, options: Options) -> list[Task]:
    """Read ``usps``: 7,291 and 2,007 digits of 16 x 16 from another scanner.

    References:
        Hull (PAMI 1994), https://doi.org/10.1109/34.291440
    """
    z = arrays("usps/usps.npz", RECIPES)
    parts = {
        part: (torch.from_numpy(z[f"x_{part}"].astype(np.float32) / z["scale"]), z[f"y_{part}"])
        for part in ("train", "test")
    }
    return pictures("usps", size_of(argument, options), parts)


def make(raw: Sequence[Path]) -> list[Content]:
    """Read pixels in [-1, 1] with three decimals as whole numbers from 0 to 2000."""
    from sklearn.datasets import load_svmlight_file

    made: dict[str, np.ndarray] = {"scale": np.array(2000, np.float32)}
    for part, path in zip(("train", "test"), raw, strict=True):
        x, y = load_svmlight_file(io.BytesIO(bz2.decompress(path.read_bytes())), n_features=256)
        made[f"x_{part}"] = np.rint((x.toarray() + 1) * 1000).astype(np.uint16).reshape(-1, 16, 16)
        made[f"y_{part}"] = (y - 1).astype(np.uint8)
    return [made]


_HOME = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
RECIPES = (
    Recipe(
        ("usps/usps.npz",),
        (
            Source(_HOME + "usps.bz2", "md5:ec16c51db3855ca6c91edd34d0e9b197"),
            Source(_HOME + "usps.t.bz2", "md5:8ea070ee2aca1ac39742fdd1ef5ed118"),
        ),
        make,
    ),
)

READER = Reader(read, 'digits of another scanner, 16 x 16: "usps", "usps:28"', sized=True)
