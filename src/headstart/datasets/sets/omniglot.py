"""Omniglot: characters of 50 alphabets by 20 drawers."""

from __future__ import annotations

import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...errors import unknown
from ...progress import Bar
from ...tasks import Labelled, Multiclass, Task
from ..options import Options, Reader
from ._pixels import encoded, resized, size_of, unit
from .home import arrays
from .recipe import GITHUB, Content, Recipe, Source

PARTS = ("train", "valid", "test")


def read(argument: str, options: Options) -> list[Task]:
    """Read ``omniglot:train``, ``:valid`` or ``:test``: 1028, 172 or 423 characters by 20 drawers.

    The split is Vinyals et al.'s. All rows of that part are the task's train rows (28 x 28, ink is
    1), for episodes to draw from; ``+rotations`` adds the turns by 90 degrees as classes.

    References:
        Lake et al. (Science 2015), https://doi.org/10.1126/science.aab3050;
        Vinyals et al. (NeurIPS 2016), https://arxiv.org/abs/1606.04080
    """
    part, _, size = (argument or "train").partition(":")
    if part not in PARTS:
        raise unknown("part of `omniglot`", part, PARTS)
    z = arrays("omniglot/omniglot28.npz", RECIPES)
    chosen = z["vinyals_split"] == PARTS.index(part)
    at = chosen[z["labels"]]
    y = torch.from_numpy((np.cumsum(chosen) - 1)[z["labels"][at]])
    x = resized(unit(z["images"][at])[:, None], size_of(size, options))
    classes = [str(c) for c in z["classes"][chosen]]
    name = f"omniglot_{part}"
    rows, kind = Labelled(x, y), Multiclass(classes)
    return [Task(name, kind, rows, encoding=encoded(rows, name, kind))]


VALID = ("Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)")
TEST = 423  # the last characters of the evaluation set, from Gurmukhi's 42nd on


def make(raw: Sequence[Path]) -> list[Content]:
    """Shrink the drawings of the background and the evaluation set to 28 x 28, ink 255.

    The split is Vinyals et al.'s as it is commonly published: five background alphabets are for
    validation, the last 423 characters for test.
    """
    from PIL import Image

    drawings: dict[tuple[int, str], dict[int, np.ndarray]] = defaultdict(dict)
    for part, path in enumerate(raw):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".png")]
            with Bar(f"omniglot, {path.stem}", len(names), unit="image") as bar:
                for done, name in enumerate(names, 1):
                    image = Image.open(io.BytesIO(archive.read(name))).convert("L")
                    small = np.asarray(image.resize((28, 28), Image.Resampling.BILINEAR))
                    *_, alphabet, character, drawing = name.split("/")
                    drawer = int(re.split("[_.]", drawing)[1])
                    drawings[part, f"{alphabet}/{character}"][drawer] = 255 - small
                    bar.show(done)
    classes = sorted(drawings)
    split = np.array([c.split("/")[0] in VALID for _, c in classes], np.uint8)
    split[-TEST:] = 2
    rows = [(k, drawer) for k, key in enumerate(classes) for drawer in sorted(drawings[key])]
    return [
        {
            "images": np.stack([drawings[classes[k]][drawer] for k, drawer in rows]),
            "labels": np.array([k for k, _ in rows], np.int16),
            "classes": np.array([name for _, name in classes]),
            "vinyals_split": split,
        }
    ]


RECIPES = (
    Recipe(
        ("omniglot/omniglot28.npz",),
        (
            Source(
                GITHUB + "brendenlake/omniglot/master/python/images_background.zip",
                "md5:68d2efa1b9178cc56df9314c21c6e718",
            ),
            Source(
                GITHUB + "brendenlake/omniglot/master/python/images_evaluation.zip",
                "md5:6b91aef0f799c5bb55b94e3f2daec811",
            ),
        ),
        make,
        needs=(("PIL", "images"),),
    ),
)

READER = Reader(read, 'characters of 50 alphabets, 20 drawers: "omniglot:train"', sized=True)
