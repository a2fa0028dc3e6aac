"""Folders of images, one per class.

Shapes: ``N`` images, ``C`` channels, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from torch import Tensor

from ...errors import wrong
from ...tasks import Labelled, Multiclass, Task
from ...tasks.arrays import lit, many, ready
from ...tasks.encoding import Encoding, common
from ..options import Options, Reader, need
from ..splits import PARTS, divide, task_name, warn_duplicates
from .arrays import ArrayEncoding
from .files import existing
from .memory import items
from .pixels import (
    FAINT,
    MACOS,
    decode,
    failures,
    found_instead,
    image_files,
    in_unit,
    look,
    pixels,
    warn_left_out,
)
from .written import readable


def load_images(
    files: Sequence[Path],
    size: tuple[int, int] | None,
    skip_broken: bool = False,
    channels: int | None = None,
) -> tuple[Tensor, list[int]]:
    """Decode images into one tensor; also tell which files it holds.

    Args:
        files: paths.
        size: ``(H, W)`` to bring every image to (aspect ratio not kept), or ``None``.
        skip_broken: leave out what does not decode (or has more pixels than Pillow's limit), with a
            warning, instead of raising.
        channels: 1 or 3; ``None`` gives 1 where every image is grey.

    Shape:
        returns ``(N, C, H, W)`` float32 in [0, 1], and the numbers of the files that decoded.

    Raises:
        ValueError: if an image does not decode, or sizes differ and ``size`` is ``None``.
    """
    x, kept = decoded(files, size, skip_broken, channels)
    return lit(x), kept


def decoded(
    files: Sequence[Path], size: tuple[int, int] | None, skip_broken: bool, channels: int | None
) -> tuple[Tensor, list[int]]:
    """Decode images as ``load_images`` does, into bytes where all have 8 bits: one array, made beforehand."""
    need("PIL", "images")
    looks = [look(path) for path in files]
    grey = channels == 1 if channels is not None else all(one.grey for one in looks if one)
    exact = all(one.deep is False and (one.grey or not grey) for one in looks if one)
    made: np.ndarray | None = None
    kept, broken, notes = list[int](), [], dict[str, list[Path]]()
    for number, path in enumerate(files):
        try:
            image, noted = decode(path, size)
        except failures() as error:
            if not skip_broken:
                raise wrong(
                    f"`{path}`",
                    expected="an image",
                    found=f"one that does not decode ({error})",
                    hint="remove it, or pass `skip_broken=True` (`--skip-broken`)",
                ) from None
            broken.append(path)
            continue
        for note in noted:
            notes.setdefault(note, []).append(path)
        if made is None:
            high, wide = image.shape[:2]
            made = np.empty((len(files), 1 if grey else 3, high, wide), np.uint8 if exact else np.float32)
        if image.shape[:2] != made.shape[2:]:
            raise wrong(
                f"`{path}`",
                expected=f"{made.shape[2:]} pixels, as `{files[kept[0]]}`",
                found=image.shape[:2],
                hint="pass `resize=` (a side, or height and width)",
            )
        made[len(kept)] = _channels(image if exact else in_unit(image), made.shape[1])
        kept.append(number)
    if broken:
        warnings.warn(
            f"{len(broken)} of {len(files)} images do not decode and were left out, the first is {broken[0]}",
            UserWarning,
            stacklevel=3,
        )
    for note, some in notes.items():
        told = f"{len(some)} of {len(files)} images {note}; the first is {some[0]}"
        warnings.warn(told, UserWarning, stacklevel=3)
    if looks and all(one and one.deep for one in looks) and made is not None and kept:
        _warn_faint(float(made[: len(kept)].max()))
    if made is None:
        raise wrong("images", expected="at least one that decodes", found="none")
    return torch.from_numpy(made[: len(kept)]), kept


def _warn_faint(most: float) -> None:
    """Warn where pixels of more than 8 bits use a small part of their range."""
    if 0 < most < FAINT:
        warnings.warn(
            f"pixels of more than 8 bits reach {most:.3g} of what they can be; if they were taken with fewer "
            "bits, save them divided by the most that they can be",
            UserWarning,
            stacklevel=4,
        )


def _channels(image: np.ndarray, channels: int) -> np.ndarray:
    if image.ndim == 2:
        return np.repeat(image[None], channels, axis=0)
    if channels == 1:
        return (image @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[None]
    return image.transpose(2, 0, 1)


@dataclass(frozen=True, kw_only=True)
class ImageEncoding(Encoding):
    """Images become pixels of one size; see `Encoding` for what all have.

    Args:
        shape: of a row, ``(C, H, W)``.
    """

    readers: ClassVar[tuple[str, ...]] = ("images", "masks", "maps", "coco", "miniimagenet")
    shape: tuple[int, ...]

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        return cls(**common(about), shape=tuple(about["shape"]))

    def _own(self) -> dict[str, Any]:
        return {"shape": list(self.shape)}

    def row_shape(self) -> tuple[int, ...]:
        """Return the shape of a row."""
        return self.shape

    def preparation(self) -> list[str]:
        """Say how an image becomes pixels."""
        channels, high, wide = self.shape
        colour = "grey (0.299 R + 0.587 G + 0.114 B)" if channels == 1 else "RGB"
        return [
            f"decode the image, turned as its EXIF tag says, to {colour}",
            f"resize it to {high} x {wide} pixels (height x width), bilinear as Pillow does it",
            f"divide by 255: float32 of shape [{channels}, {high}, {wide}], channels first, values in [0, 1]",
        ]

    def made_up(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw pixels."""
        return torch.rand(count, *self.shape, generator=generator)

    def files(self, path: Path) -> list[Path]:
        """List the images under a path that become a row each; an archive holds many."""
        if path.suffix == ".npz" or not path.exists():
            return []
        found = image_files(path)
        if path.is_dir():
            warn_left_out(path, found)
        return found

    def encode(self, path: Path) -> Tensor:
        """Decode one image, or all under a folder in the order of their paths; or take an archive's."""
        if path.suffix == ".npz":
            return ArrayEncoding(reader="npz", shape=self.shape).encode(path)
        if not (files := self.files(path)):
            raise wrong(
                f"`{path}`",
                expected="an image or a folder of images",
                found="none there",
                error=FileNotFoundError,
            )
        return self.load(files)[0]

    def load(self, files: Sequence[Path], skip_broken: bool = False) -> tuple[Tensor, list[int]]:
        """Decode images, and tell which rows they became; see ``load_images``."""
        channels, high, wide = self.shape
        return load_images(files, (high, wide), skip_broken, channels)

    def _made(self, value: Any) -> Tensor:
        """Decode a list of paths or of images of Pillow, or take an array of pixels as it is."""
        if not (some := items(value)):
            raise wrong(
                "images",
                expected="a list of paths or of images, or an array of pixels",
                found=f"{type(value).__name__} {value!r:.60}",
                hint='pass a list, as in ["photo.jpg"]; folders are read by `hs.datasets.encode`',
                error=TypeError,
            )
        try:
            paths = [Path(item) for item in some]
        except TypeError:
            if not _of_pillow(some[0]):
                return ready(value, self.shape, "images")
            channels, high, wide = self.shape
            return torch.from_numpy(
                np.stack([_channels(in_unit(pixels(i, (high, wide))), channels) for i in some])
            )
        return self.load([existing(path) for path in paths])[0]


def _of_pillow(item: Any) -> bool:
    if find_spec("PIL") is None:
        return False
    from PIL import Image

    return isinstance(item, Image.Image)


def _folders(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != MACOS
    )


def read_images(argument: str, options: Options) -> list[Task]:
    """Read ``images:folder``: a sub-folder per class, or ``train/``, ``valid/``, ``test/`` of such.

    Classes are the names of the sub-folders. More pixels than fit a gigabyte as floats stay in bytes until
    a batch of them is used. Files of every format that Pillow decodes are read; others are
    left out, with a warning that counts them. Pixels are float32 in [0, 1] (``pixels`` says on what scale),
    grey where every image is, else RGB; transparent parts are shown on white, and of an animation the first
    picture is taken. All images must have one size, or ``resize`` brings them to one.
    """
    folder = options.base / argument
    if not folder.is_dir():
        raise wrong(
            f"`{folder}`",
            expected="a folder with a sub-folder per class",
            found="a file" if folder.exists() else "nothing there",
            error=FileNotFoundError,
        )
    if options.split.group:
        raise wrong("`group`", expected="a column of a table", found="a folder of images")
    parts = {p: PARTS[p.name] for p in _folders(folder) if p.name in PARTS}
    fixed = bool(parts) and set(parts) == set(_folders(folder))
    places = [(part, c) for top, part in (parts.items() if fixed else [(folder, "")]) for c in _folders(top)]
    listed = [(file, readable(place.name), part) for part, place in places for file in image_files(place)]
    names = sorted({name for _, name, _ in listed})
    if len(names) < 2:
        raise wrong(
            f"`{folder}`",
            expected="at least two sub-folders with images",
            found=names or found_instead(folder),
            hint="put the images of each class into a folder of its own",
        )
    empty = sorted({readable(place.name) for _, place in places} - set(names))
    if empty:
        raise wrong(f"class folder `{empty[0]}` of `{folder}`", expected="images", found="none")
    warn_left_out(folder, [file for file, _, _ in listed])
    known = cast(ImageEncoding | None, options.encoding)
    classes = (known and known.classes_of(folder.name)) or names
    channels, high, wide = known.shape if known else (None, 0, 0)
    size = (high, wide) if known else None
    if options.resize is not None:
        size = options.resize
    kind = Multiclass(classes)
    y = kind.encode([name for _, name, _ in listed])
    if fixed:
        sides = [side for _, _, side in listed]
        division: Mapping[str, Tensor] = {
            part: torch.tensor([i for i, side in enumerate(sides) if side == part])
            for part in ("train", "valid", "test")
            if part in sides
        }
        if "train" not in division:
            raise wrong(f"`{folder}`", expected="a folder `train`", found=sorted(set(sides)))
    else:
        division = divide(options.split, len(y), y.tolist())
    order = torch.cat(
        list(division.values())
    ).tolist()  # part by part, so that each is one piece of the whole
    x, kept = decoded([listed[i][0] for i in order], size, options.skip_broken, channels)
    place = torch.tensor([order[k] for k in kept])
    numbers = place.argsort().argsort()  # of those that decoded, as they are listed
    at_parts = [torch.isin(place, at).nonzero().flatten() for at in division.values()]
    pieces = {
        part: slice(int(at[0]), int(at[-1]) + 1)
        for part, at in zip(division, at_parts, strict=True)
        if len(at)
    }
    if "train" not in pieces:
        raise wrong(f"train part of `{folder}`", expected="an image that decodes", found="none")
    count = warn_duplicates(x, {part: torch.arange(len(x))[at] for part, at in pieces.items()}, f"`{folder}`")
    encoding = ImageEncoding(
        reader="images",
        shape=tuple(x.shape[1:]),
        duplicates=count,
        division={part: numbers[at] for part, at in pieces.items()},
    )
    shown = {part: x[at] if many(x) else lit(x[at]) for part, at in pieces.items()}
    rows = {part: Labelled(shown[part], y[place[at]]) for part, at in pieces.items()}
    name = readable(folder.resolve().name)
    return [Task(task_name(name), kind, **rows, encoding=encoding.asking(name, kind))]  # type: ignore[arg-type]


READER = Reader(
    read_images, 'a folder per class: "images:folder"', "images", encoding=ImageEncoding, sized=True
)
