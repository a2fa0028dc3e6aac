"""One image becomes an array of pixels: which files are images, what is read of them, on what scale.

Shapes: ``H`` and ``W`` pixels.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import wrong
from ..options import need

if TYPE_CHECKING:
    from PIL.Image import Image

ELSEWHERE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # Pillow knows them, but decodes none by itself
CLUTTER = {"thumbs.db", "desktop.ini"}  # what file managers leave
MACOS = "__MACOSX"  # what they leave in archives
FAINT = 1 / 8  # of what pixels can be: where all are darker, they may be of fewer bits
DEEPEST = 65535  # the largest pixel of 16 bits
FRAMES = "hold several pictures, of which the first was taken"
DARK = f"hold whole numbers of 32 bits up to 255, which were divided by {DEEPEST}; save them with 8 bits"


def suffixes() -> frozenset[str]:
    """List how the names of images end: of every format that Pillow decodes, those of plugins included."""
    need("PIL", "images")
    from PIL import Image

    known = Image.registered_extensions().items()
    return frozenset(end for end, kind in known if kind in Image.OPEN and kind not in ELSEWHERE)


def image_files(folder: Path) -> list[Path]:
    """List the images under a folder (or the one file), in the order of their paths."""
    if folder.is_file():
        return [folder]
    ends = suffixes()
    return sorted(p for p in _files(folder) if p.suffix.lower() in ends)


def _files(folder: Path) -> list[Path]:
    """List the files under a folder, but none that is hidden or in a hidden folder."""
    return [p for p in _shown(folder) if p.is_file()]


def _shown(folder: Path) -> list[Path]:
    names = [p.relative_to(folder).parts for p in folder.rglob("*")]
    hidden = [any(part.startswith(".") or part == MACOS for part in parts) for parts in names]
    return [folder.joinpath(*parts) for parts, hide in zip(names, hidden, strict=True) if not hide]


def _lost(folder: Path) -> list[Path]:
    """List what is neither a file nor a folder that is looked into: links to nothing or to folders, pipes."""
    return [p for p in _shown(folder) if not p.is_file() and (p.is_symlink() or not p.is_dir())]


def found_instead(folder: Path) -> str:
    """Say what a folder without images has, by how the names end."""
    there = [p for p in _files(folder) if p.name.lower() not in CLUTTER] if folder.is_dir() else []
    return f"no image that Pillow reads, but files: {_counted(there)}" if there else "no image"


def _counted(files: Sequence[Path]) -> str:
    ends = Counter(p.suffix.lower() or "no ending" for p in files)
    return ", ".join(f"{end} ({n})" for end, n in ends.most_common(5))


def warn_left_out(folder: Path, taken: Sequence[Path]) -> None:
    """Warn where a folder has files that are not taken as images, and say how their names end."""
    files = {p for p in _files(folder) if p.name.lower() not in CLUTTER}
    left = sorted({*files, *_lost(folder)} - set(taken))
    if not left:
        return
    warnings.warn(
        f"{len(left)} of {len(left) + len(taken)} files under `{folder}` were left out, since they are in no "
        f"folder of a class, no image that Pillow reads, or a link to a folder or to nothing: "
        f"{_counted(left)}; the first is {left[0]}",
        UserWarning,
        stacklevel=3,
    )


def failures() -> tuple[type[Exception], ...]:
    """List what Pillow raises for a file that it does not decode."""
    from PIL import Image

    return OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError


@dataclass(frozen=True)
class Look:
    """What the header of an image tells.

    Args:
        grey: whether it has one channel.
        deep: whether its pixels have more than 8 bits, or are floats.
    """

    grey: bool
    deep: bool


def look(path: Path) -> Look | None:
    """Read the header of an image; ``None`` where there is none."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoding tells
            with Image.open(path) as opened:
                return Look(_grey(opened), _deep(opened))
    except failures():
        return None


def _deep(image: Image) -> bool:
    return image.mode.startswith(("I", "F"))


def _grey(image: Image) -> bool:
    return _deep(image) or image.mode in ("1", "L", "LA", "La")


def decode(path: Path, size: tuple[int, int] | None) -> tuple[np.ndarray, list[str]]:
    """Decode one file as ``pixels`` does, and say what a reader of many has to tell of it."""
    from PIL import Image

    # Large ones and formats that are to go make Pillow warn, without a name.
    with warnings.catch_warnings(action="ignore"), Image.open(path) as opened:
        several = opened.format != "MPO" and getattr(opened, "is_animated", False)  # a photo and its preview
        found = pixels(opened, size)
        dark = opened.mode == "I" and opened.format == "TIFF" and found.max() <= 255 / DEEPEST
        return found, [FRAMES] * several + [DARK] * bool(dark and found.any())


def pixels(image: Image, size: tuple[int, int] | None) -> np.ndarray:
    """Turn an image of Pillow into ``(H, W)`` or ``(H, W, 3)``: bytes, or float32 where it has deeper pixels.

    It is turned as its EXIF says. Transparent parts are shown on white. ``in_unit`` divides bytes by 255;
    whole numbers of 16 bits are divided by the largest, those of 32 as if they were 16; floats stay.

    Args:
        image: of any mode; of several frames the one that it is at.
        size: ``(H, W)`` to bring it to, or ``None``.

    Raises:
        ValueError: if numbers of 32 bits are outside [0, 65535], or floats outside [0, 1].
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    deep, grey = _deep(image), _grey(image)
    top = 1 if image.mode == "F" else DEEPEST
    image = image.convert("F") if deep else _on_white(image).convert("L" if grey else "RGB")
    if deep:
        _check_range(image, top)
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32) / top if deep else np.asarray(image)


def in_unit(image: np.ndarray) -> np.ndarray:
    """Bring pixels to float32 in [0, 1]."""
    return image / np.float32(255) if image.dtype == np.uint8 else image


def _on_white(image: Image) -> Image:
    """Lay an image that has transparent parts on white; one that has none stays as it is."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    whole = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)
    seen = (image if whole == image.mode else image.convert(whole)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)


def _check_range(image: Image, top: int) -> None:
    found = np.asarray(image)
    low, high = float(found.min()), float(found.max())
    if not 0 <= low <= high <= top:  # NaN is in no order
        what = "pixels that are floats" if top == 1 else "pixels of more than 8 bits"
        hint = "save them as floats in [0, 1], divided by the most that they can be"
        raise wrong(what, expected=f"in [0, {top}]", found=f"{low:g} to {high:g}", hint=hint)
