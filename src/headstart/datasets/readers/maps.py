"""Folders of images, and of maps that tell a number for each pixel: depth, disparity, height.

Shapes: ``N`` images, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ...errors import wrong
from ...tasks import DenseRegression, Task
from ..options import Options, Reader, need
from ..splits import build, divide, warn_duplicates
from .images import ImageEncoding, load_images
from .masks import pairs

WHOLE = ("I;16", "I;16B", "I", "L")  # modes of Pillow for whole numbers


def read_maps(argument: str, options: Options) -> list[Task]:
    """Read ``maps:IMAGES#MAPS``: a folder of images, and one with a map of the same name for each.

    A map is an array in a ``.npy`` file, or a grey image of 8, 16 or 32 bits or of floats (TIFF). Numbers are
    taken as they are. One that is no number (NaN, infinity) is missing; so is 0 in a file of whole numbers,
    as is usual for depth and disparity. ``resize`` brings images and maps to one size, and mixes no numbers.
    """
    need("PIL", "images")
    images, _, maps = argument.rpartition("#")
    if not images or not maps:
        hint = 'name both, as in "maps:photos#depths"'
        raise wrong("data reference", expected='"maps:IMAGES#MAPS"', found=f'"maps:{argument}"', hint=hint)
    if options.split.group:
        raise wrong("`group`", expected="a column of a table", found="a folder of images")
    files, of = pairs(options.base / images, options.base / maps, "map", arrays=True)
    known = cast(ImageEncoding | None, options.encoding)
    size = options.resize or (known.shape[1:] if known else None)
    channels = known.shape[0] if known else None
    x, kept = load_images(files, cast(tuple[int, int] | None, size), options.skip_broken, channels)
    height, width = x.shape[2:]
    y = torch.stack([_map(of[i], files[i], (height, width), size is not None) for i in kept])
    if y.isnan().all():
        raise wrong(f"maps in `{maps}`", expected="at least one number", found="none")
    division = divide(options.split, len(y))
    count = warn_duplicates(x, division, f"`{images}`")
    encoding = ImageEncoding(reader="maps", shape=tuple(x.shape[1:]), duplicates=count)
    name = (options.base / maps).resolve().name
    return build([(name, DenseRegression((height, width)), y)], x, division, encoding)


def _map(path: Path, image: Path, size: tuple[int, int], resized: bool) -> Tensor:
    """Read the numbers in a map, ``(H, W)`` float32, NaN where one is missing."""
    read = _array if path.suffix == ".npy" else _image
    found = read(path)
    if found.shape != size:
        if not resized:
            told = f"{size[0]} x {size[1]} pixels, as `{image}`"
            raise wrong(f"`{path}`", expected=told, found=" x ".join(map(str, found.shape)))
        at = [
            ((np.arange(new) + 0.5) / new * old).astype(int)
            for new, old in zip(size, found.shape, strict=True)
        ]
        found = found[np.ix_(*at)]
    return torch.from_numpy(np.where(np.isfinite(found), found, np.nan).astype(np.float32))


def _array(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise wrong(f"`{path}`", expected="an array", found=f"a file that is none ({error})") from None
    if found.ndim == 3 and 1 in (found.shape[0], found.shape[2]):
        found = found.squeeze(0 if found.shape[0] == 1 else 2)
    if found.ndim != 2 or found.dtype.kind not in "fiu":
        raise wrong(f"`{path}`", expected="one number per pixel", found=f"{found.dtype} {found.shape}")
    return _whole(found)


def _image(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as opened:
            mode, found = opened.mode, np.asarray(opened)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        told = f"an image that does not decode ({error})"
        raise wrong(f"`{path}`", expected="a map", found=told) from None
    if mode not in (*WHOLE, "F"):
        hint = "save one number per pixel, grey: 16 bits, or floats as TIFF or .npy"
        raise wrong(f"`{path}`", expected="one number per pixel", found=f"mode {mode}", hint=hint)
    return _whole(found)


def _whole(found: np.ndarray) -> np.ndarray:
    """Make floats; of whole numbers 0 is missing."""
    numbers = found.astype(np.float64)
    return numbers if found.dtype.kind == "f" else np.where(found == 0, np.nan, numbers)


def write_maps(folder: Path, maps: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Write maps of numbers as ``.npy`` files, float32."""
    folder.mkdir(parents=True, exist_ok=True)
    for each, name in zip(maps, names, strict=True):
        np.save(folder / f"{name}.npy", each.astype(np.float32))


READER = Reader(
    read_maps,
    'images and numbers of their pixels: "maps:images#depths"',
    "images",
    encoding=ImageEncoding,
    sized=True,
)
