"""MNIST-M: digits over photographs."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...progress import Bar
from ...tasks import Task
from ..options import Options, Reader, need
from ._pixels import pictures, size_of, unit
from .home import arrays, find
from .recipe import Content, Recipe, Source


def _strips(webp: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Decode lossless strips of images, one below the other."""
    from PIL import Image

    strips = [webp[a:b].tobytes() for a, b in itertools.pairwise(offsets)]
    return np.concatenate(
        [np.asarray(Image.open(io.BytesIO(s)).convert("RGB")).reshape(-1, 32, 32, 3) for s in strips]
    )


def read(argument: str, options: Options) -> list[Task]:
    """Read ``mnistm``: MNIST over photographs, 59,001 and 9,001 of 32 x 32, RGB.

    A folder of the user's may hold the first 20,000 of the train rows alone.

    References:
        Ganin et al. (JMLR 2016), section 5.2.4, https://arxiv.org/abs/1505.07818
    """
    need("PIL", "images")
    few = find("mnistm/mnistm_train20k.npz") and not find("mnistm/mnistm_train.npz")
    parts = {}
    for part, file in (("train", "mnistm_train20k" if few else "mnistm_train"), ("test", "mnistm_test")):
        z = arrays(f"mnistm/{file}.npz", RECIPES)
        pixels = z["images"] if "images" in z else _strips(z["webp"], z["offsets"])
        parts[part] = unit(pixels).permute(0, 3, 1, 2).contiguous(), z["labels"]
    return pictures("mnistm", size_of(argument, options), parts)


def make(raw: Sequence[Path]) -> list[Content]:
    """Read all PNGs of the archive in one pass, then order them as the lists of labels do."""
    from PIL import Image

    images, labels = {}, {}
    with tarfile.open(raw[0]) as archive, Bar("mnistm", 68002, unit="image") as bar:
        for member in archive:
            part = "train" if "mnist_m_train" in member.name else "test"
            file = archive.extractfile(member)
            if file is None:
                continue
            if member.name.endswith(".png"):
                images[part, Path(member.name).name] = np.asarray(Image.open(file).convert("RGB"))
                bar.show(len(images))
            elif member.name.endswith("_labels.txt"):
                labels[part] = [line.split() for line in file.read().decode().splitlines()]
    return [
        {
            "images": np.stack([images[part, name] for name, _ in labels[part]]),
            "labels": np.array([int(label) for _, label in labels[part]], np.uint8),
        }
        for part in ("train", "test")
    ]


RECIPES = (
    Recipe(
        ("mnistm/mnistm_train.npz", "mnistm/mnistm_test.npz"),
        (
            Source(
                "https://cornell.box.com/shared/static/jado7quprg6hzzdubvwzh9umr75damwi",
                "md5:859df31c91afe82e80e5012ba928f279",
            ),
        ),
        make,
        needs=(("PIL", "images"),),
    ),
)

READER = Reader(read, 'digits over photographs, 3 x 32 x 32: "mnistm"', "images", sized=True)
