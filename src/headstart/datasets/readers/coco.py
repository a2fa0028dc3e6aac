"""Folders of images, and a file of COCO's JSON that tells the boxes in each.

Shapes: ``N`` images.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ...errors import wrong
from ...tasks import Box, Detection, Task
from ..options import Options, Reader, need
from ..splits import build, divide, warn_duplicates
from .images import ImageEncoding, load_images

PARTS = ("images", "annotations", "categories")


def read_coco(argument: str, options: Options) -> list[Task]:
    """Read ``coco:IMAGES#FILE.json``: a folder of images, and the boxes of objects in them.

    The file has ``images`` (``id``, ``file_name`` within the folder, ``width``, ``height``), ``categories``
    (``id``, ``name``) and ``annotations`` (``image_id``, ``category_id``, ``bbox`` as left, top, width and
    height in pixels). An image that no annotation names has no objects. Boxes of a crowd (``iscrowd``) are
    left out, and those that reach over the edge are cut there. ``resize`` brings images to one size; boxes
    are kept in shares of the image.

    References:
        https://cocodataset.org/#format-data
    """
    need("PIL", "images")
    folder, _, name = argument.rpartition("#")
    if not folder or not name:
        hint = 'name both, as in "coco:photos#boxes.json"'
        raise wrong("data reference", expected='"coco:IMAGES#FILE"', found=f'"coco:{argument}"', hint=hint)
    if options.split.group:
        raise wrong("`group`", expected="a column of a table", found="a folder of images")
    path = options.base / name
    about = _parsed(path)
    images = _by_id(about["images"], ("id", "file_name"), f"images of `{name}`")
    files = [options.base / folder / str(image["file_name"]) for image in images.values()]
    for file in files:
        if not file.is_file():
            raise wrong(f"`{file}`", expected="an image", found="nothing there", error=FileNotFoundError)
    boxes = _boxes(about, images, dict(zip(images, files, strict=True)), path)
    known = cast(ImageEncoding | None, options.encoding)
    size = options.resize or (known.shape[1:] if known else None)
    channels = known.shape[0] if known else None
    x, kept = load_images(files, cast(tuple[int, int] | None, size), options.skip_broken, channels)
    labels = [boxes[image] for image in images]
    used = sorted({box.label for row in labels for box in row}, key=str)
    title = path.resolve().stem
    kind = Detection((known and known.classes_of(title)) or _named(about, used, path))
    y = kind.encode([labels[i] for i in kept])
    division = divide(options.split, len(y))
    count = warn_duplicates(x, division, f"`{folder}`")
    encoding = ImageEncoding(reader="coco", shape=tuple(x.shape[1:]), duplicates=count)
    return build([(title, kind, y)], x, division, encoding)


def _parsed(path: Path) -> dict[str, Any]:
    """Read a file of COCO's JSON, and see that its parts are there."""
    if not path.is_file():
        found = "a folder" if path.exists() else "nothing there"
        raise wrong(f"`{path}`", expected="a file of COCO's JSON", found=found, error=FileNotFoundError)
    try:
        about = json.loads(path.read_bytes())
    except ValueError as error:
        raise wrong(f"`{path}`", expected="JSON", found=str(error)) from None
    if not (isinstance(about, dict) and all(isinstance(about.get(part), list) for part in PARTS)):
        found = str(sorted(about)) if isinstance(about, dict) else type(about).__name__
        raise wrong(f"`{path}`", expected=f"lists {', '.join(PARTS)}", found=found)
    if not about["images"]:
        raise wrong(f"images of `{path}`", expected="at least one", found="none")
    return cast(dict[str, Any], about)


def _by_id(entries: Sequence[Any], keys: Sequence[str], what: str) -> dict[Any, Mapping[str, Any]]:
    """List entries by their ``id``."""
    found: dict[Any, Mapping[str, Any]] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not all(key in entry for key in keys):
            raise wrong(what, expected=f"each with {' and '.join(keys)}", found=repr(entry)[:80])
        if entry["id"] in found:
            raise wrong(what, expected="an id of its own for each", found=f"{entry['id']!r} twice")
        found[entry["id"]] = entry
    return found


def _boxes(
    about: Mapping[str, Any], images: Mapping[Any, Mapping[str, Any]], files: Mapping[Any, Path], path: Path
) -> dict[Any, list[Box]]:
    """List the boxes of each image, in shares of it."""
    classes = _by_id(about["categories"], ("id", "name"), f"categories of `{path.name}`")
    found: dict[Any, list[Box]] = {image: [] for image in images}
    crowds = 0
    for entry in about["annotations"]:
        for key, those in (("image_id", images), ("category_id", classes)):
            known = isinstance(entry, dict) and isinstance(entry.get(key), int | str)
            if not known or entry[key] not in those:
                told = repr(entry)[:80]
                raise wrong(f"annotation of `{path.name}`", expected=f"a known {key}", found=told)
        if entry.get("iscrowd"):
            crowds += 1
            continue
        image = entry["image_id"]
        wide, high = _size(images[image], files[image])
        found[image].append(_box(entry, classes[entry["category_id"]]["name"], wide, high, path))
    if crowds:
        warnings.warn(f"{crowds} boxes of crowds in `{path.name}` were left out", UserWarning, stacklevel=4)
    return found


def _box(entry: Mapping[str, Any], label: str, wide: int, high: int, path: Path) -> Box:
    """Turn an annotation into a box, cut at the edges of its image."""
    what = f"bbox of an annotation of `{path.name}`"
    try:
        left, top, width, height = (float(number) for number in entry["bbox"])
    except (KeyError, TypeError, ValueError):
        found = repr(entry.get("bbox"))[:80]
        raise wrong(what, expected="left, top, width and height in pixels", found=found) from None
    ends = [min(max(end, 0.0), 1.0) for end in (left / wide, top / high)]
    ends += [min(max(end, 0.0), 1.0) for end in ((left + width) / wide, (top + height) / high)]
    if not (ends[0] < ends[2] and ends[1] < ends[3]):
        told = f"width and height above 0, in an image of {wide} x {high} pixels"
        raise wrong(what, expected=told, found=entry["bbox"])
    return Box(label, *ends)


def _size(image: Mapping[str, Any], file: Path) -> tuple[int, int]:
    """Tell the width and height of an image that boxes were drawn in."""
    if image.get("width") and image.get("height"):
        return int(image["width"]), int(image["height"])
    from PIL import Image

    with Image.open(file) as opened:
        return opened.size


def _named(about: Mapping[str, Any], used: Sequence[Any], path: Path) -> list[Any]:
    """List the classes in the order of the file, without those that no box is of."""
    if not used:
        raise wrong(f"annotations of `{path.name}`", expected="at least one box", found="none")
    return [entry["name"] for entry in about["categories"] if entry["name"] in used]


READER = Reader(
    read_coco,
    'images and boxes of objects in them: "coco:images#boxes.json"',
    "images",
    encoding=ImageEncoding,
    sized=True,
)
