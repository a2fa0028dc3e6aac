"""MNIST: digits."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...tasks import Task
from ..options import Options, Reader
from ._pixels import pictures, size_of, unit
from .home import arrays
from .recipe import Content, Recipe, Source


def read(argument: str, options: Options) -> list[Task]:
    """Read ``mnist``: 60,000 and 10,000 digits of 28 x 28.

    References:
        LeCun et al. (Proc. IEEE 1998), https://doi.org/10.1109/5.726791
    """
    z = arrays("mnist/mnist.npz", RECIPES)
    parts = {part: (unit(z[f"x_{part}"]), z[f"y_{part}"]) for part in ("train", "test")}
    return pictures("mnist", size_of(argument, options), parts)


def make(raw: Sequence[Path]) -> list[Content]:
    """Read the four IDX files of images and labels, train before test."""
    names = ("x_train", "y_train", "x_test", "y_test")
    return [{name: _idx(gzip.decompress(path.read_bytes())) for name, path in zip(names, raw, strict=True)}]


def _idx(data: bytes) -> np.ndarray:
    shape = np.frombuffer(data, ">i4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


_HOME = "https://ossci-datasets.s3.amazonaws.com/mnist/"
RECIPES = (
    Recipe(
        ("mnist/mnist.npz",),
        (
            Source(
                _HOME + "train-images-idx3-ubyte.gz",
                "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            Source(
                _HOME + "train-labels-idx1-ubyte.gz",
                "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            Source(
                _HOME + "t10k-images-idx3-ubyte.gz",
                "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            Source(
                _HOME + "t10k-labels-idx1-ubyte.gz",
                "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
        make,
    ),
)

READER = Reader(read, 'digits, 28 x 28: "mnist", "mnist:3x32x32"', sized=True)
