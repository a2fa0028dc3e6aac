"""Folders of images, and of masks that tell the class of each pixel.

Shapes: ``N`` images, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ...errors import near_names, wrong
from ...tasks import Segmentation, Task
from ...tasks.kinds import MISSING
from ..options import Options, Reader, need
from ..splits import build, divide, warn_duplicates
from .images import ImageEncoding, image_files, load_images

IGNORED = 255  # of a mask: a pixel without a class


def read_masks(argument: str, options: Options) -> list[Task]:
    """Read ``masks:IMAGES#MASKS``: a folder of images, and one with a mask of the same name for each.

    A mask is a PNG with the number of its class in each pixel, grey or by palette; 255 stands for a pixel
    without a class. Masks of 0 and 255 alone tell two classes apart, and leave none out. ``resize`` brings
    images and masks to one size; classes are never mixed.
    """
    need("PIL", "images")
    images, _, masks = argument.rpartition("#")
    if not images or not masks:
        hint = 'name both, as in "masks:photos#photos_masks"'
        raise wrong("data reference", expected='"masks:IMAGES#MASKS"', found=f'"masks:{argument}"', hint=hint)
    if options.split.group:
        raise wrong("`group`", expected="a column of a table", found="a folder of images")
    files, of = pairs(options.base / images, options.base / masks, "mask")
    known = cast(ImageEncoding | None, options.encoding)
    size = options.resize or (known.shape[1:] if known else None)
    channels = known.shape[0] if known else None
    x, kept = load_images(files, cast(tuple[int, int] | None, size), options.skip_broken, channels)
    height, width = x.shape[2:]
    numbers = torch.stack([_mask(of[i], files[i], (height, width), size is not None) for i in kept])
    values = numbers.unique().tolist()
    if values != [0, IGNORED]:
        numbers[numbers == IGNORED] = MISSING
        values = [v for v in values if v != IGNORED]
    name = (options.base / masks).resolve().name
    classes = (known and known.classes_of(name)) or values
    if len(classes) < 2:
        hint = "a mask has the number of a class in each pixel: 0, 1, 2"
        raise wrong(f"masks in `{masks}`", expected="at least two classes", found=classes, hint=hint)
    kind = Segmentation(classes, (height, width))
    y = torch.full_like(numbers, MISSING)
    y[numbers != MISSING] = _encoded(kind, numbers[numbers != MISSING])
    division = divide(options.split, len(y))
    count = warn_duplicates(x, division, f"`{images}`")
    encoding = ImageEncoding(reader="masks", shape=tuple(x.shape[1:]), duplicates=count)
    return build([(name, kind, y)], x, division, encoding)


def _encoded(kind: Segmentation, values: Tensor) -> Tensor:
    there, at = values.unique(return_inverse=True)
    return kind.single.encode(there)[at]


def pairs(images: Path, labels: Path, what: str, *, arrays: bool = False) -> tuple[list[Path], list[Path]]:
    """Find the mask, or what else tells something of each pixel, of each image by its name.

    Args:
        images: a folder.
        labels: a folder.
        what: how messages call a file in it.
        arrays: whether it may be a ``.npy`` file.
    """
    for folder in (images, labels):
        if not folder.is_dir():
            raise wrong(
                f"`{folder}`",
                expected="a folder",
                found="a file" if folder.exists() else "nothing there",
                error=FileNotFoundError,
            )
    own = [p for p in sorted(labels.iterdir()) if arrays and p.suffix == ".npy" and p.name[0] != "."]
    by_stem = {file.stem: file for file in (*image_files(labels), *own)}
    files = image_files(images)
    if not files:
        raise wrong(f"`{images}`", expected="images", found="none", error=FileNotFoundError)
    for file in files:
        if file.stem not in by_stem:
            hint = near_names(file.stem, list(by_stem), f"{what}s")
            told = f"in `{labels}`"
            raise wrong(f"{what} of `{file}`", expected=told, found="none of that name", hint=hint)
    return files, [by_stem[file.stem] for file in files]


def _mask(path: Path, image: Path, size: tuple[int, int], resized: bool) -> Tensor:
    """Read the numbers in a mask, ``(H, W)`` int64."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            mask = opened.copy()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise wrong(
            f"`{path}`", expected="a mask", found=f"an image that does not decode ({error})"
        ) from None
    if len(mask.getbands()) > 1 or mask.mode == "F":
        hint = "save the number of the class in each pixel, grey or by palette"
        raise wrong(f"`{path}`", expected="one number per pixel", found=f"mode {mask.mode}", hint=hint)
    if mask.size != size[::-1]:
        if not resized:
            found = f"{mask.size[1]} x {mask.size[0]}"
            told = f"{size[0]} x {size[1]} pixels, as `{image}`"
            raise wrong(f"`{path}`", expected=told, found=found)
        mask = mask.resize(size[::-1], Image.Resampling.NEAREST)
    return torch.from_numpy(np.asarray(mask).astype(np.int64))


def write_masks(folder: Path, masks: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Write masks of whole numbers in [0, 255] as grey PNGs."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for mask, name in zip(masks, names, strict=True):
        Image.fromarray(mask.astype(np.uint8)).save(folder / f"{name}.png")


READER = Reader(
    read_masks,
    'images and masks of their pixels: "masks:images#masks"',
    "images",
    encoding=ImageEncoding,
    sized=True,
)
