"""miniImageNet, or any images whose parts have classes of their own, for episodes.

Shapes: ``N`` images, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from ...errors import unknown, wrong
from ...tasks import Labelled, Multiclass, Task
from ...tasks.arrays import lit, many
from ..options import Options, Reader, need
from .images import ImageEncoding, decoded
from .pixels import found_instead, image_files

PARTS = {"train": ("train",), "valid": ("val", "valid", "validation"), "test": ("test",)}
SIDE = 84  # of the images in all papers
COLUMNS = ["filename", "label"]


def read_miniimagenet(argument: str, options: Options) -> list[Task]:
    """Read ``miniimagenet:DIR``, or ``miniimagenet:DIR#valid`` or ``#test``: a part with classes of its own.

    All images of the part are the task's train rows, for episodes to draw from. Two layouts are known:

    - class folders, ``DIR/train/n01532829/*.jpg``, with ``val`` (or ``valid``) and ``test`` beside ``train``;
    - Ravi & Larochelle's lists, ``DIR/train.csv``, ``val.csv``, ``test.csv`` (or in ``DIR/split``) with the
      columns ``filename,label``, and all images in ``DIR/images``.

    Images become 84 x 84 pixels where ``resize`` does not say another size. Archives of pickles, in which
    the set goes round as well, are not opened: reading one runs the code in it.

    References:
        Vinyals et al. (NeurIPS 2016), https://arxiv.org/abs/1606.04080;
        Ravi & Larochelle (ICLR 2017), https://openreview.net/forum?id=rJY0-Kcll
    """
    need("PIL", "images")
    folder, _, part = argument.partition("#")
    part = part or "train"
    if part not in PARTS:
        raise unknown("part of `miniimagenet`", part, PARTS)
    root = options.base / folder
    listed = _listed(root, part)
    known = cast(ImageEncoding | None, options.encoding)
    size = options.resize or (known.shape[1:] if known else (SIDE, SIDE))
    channels = known.shape[0] if known else 3
    name = f"miniimagenet_{part}"
    classes = (known and known.classes_of(name)) or sorted({label for _, label in listed})
    if len(classes) < 2:
        raise wrong(f"{part} part of `{root}`", expected="at least two classes", found=classes)
    x, kept = decoded(
        [file for file, _ in listed], cast(tuple[int, int], size), options.skip_broken, channels
    )
    kind = Multiclass(classes)
    rows = Labelled(x if many(x) else lit(x), kind.encode([listed[k][1] for k in kept]))
    encoding = ImageEncoding(reader="miniimagenet", shape=tuple(x.shape[1:]))
    return [Task(name, kind, rows, encoding=encoding.asking(name, kind))]


def _listed(root: Path, part: str) -> list[tuple[Path, str]]:
    """List the images of a part, each with its class."""
    for name in PARTS[part]:
        for place in (root, root / "split", root / "splits"):
            if (file := place / f"{name}.csv").is_file():
                return _of_list(file, root / "images")
        if (top := root / name).is_dir():
            folders = sorted(p for p in top.iterdir() if p.is_dir() and not p.name.startswith("."))
            found = [(image, place.name) for place in folders for image in image_files(place)]
            if found:
                return found
            raise wrong(f"`{top}`", expected="a folder of images for each class", found=found_instead(top))
    pickled = sorted(p.name for p in root.glob("*.pkl")) if root.is_dir() else []
    raise wrong(
        f"{part} part of `{root}`",
        expected=f"a folder or a list, {' or '.join(f'`{n}/` or `{n}.csv`' for n in PARTS[part])}",
        found=f"pickles ({', '.join(pickled)}), which may run code" if pickled else "neither",
        hint="write the images into a folder for each class"
        if pickled
        else "pass the folder that holds them",
        error=FileNotFoundError,
    )


def _of_list(file: Path, images: Path) -> list[tuple[Path, str]]:
    """Read a list of files and classes, all of whose files are there."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        table = csv.DictReader(lines)
        if not set(COLUMNS) <= set(table.fieldnames or ()):
            raise wrong(f"columns of `{file}`", expected=f"{COLUMNS}", found=list(table.fieldnames or ()))
        found = [(images / row["filename"], row["label"]) for row in table]
    lost: Sequence[Path] = [path for path, _ in found if not path.is_file()]
    if lost:
        raise wrong(
            f"images of `{file}`",
            expected=f"{len(found)} files in `{images}`",
            found=f"{len(lost)} of them not there, the first is {lost[0].name}",
            error=FileNotFoundError,
        )
    return found


READER = Reader(
    read_miniimagenet,
    'images for episodes, each part with its own classes: "miniimagenet:folder#test"',
    "images",
    encoding=ImageEncoding,
    sized=True,
)
