"""Files and data references become rows, with what has to be said about them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..datasets import Encoding, encode
from ..datasets.readers.written import readable
from ..errors import wrong


def rows_of(reference: str, encoding: Encoding, skip_broken: bool = False) -> tuple[Tensor, list[str]]:
    """Make rows of what a reference names, without labels or with.

    Args:
        reference: a path, or a data reference such as ``"csv:new.csv"``.
        encoding: of the model.
        skip_broken: leave out files that do not decode, with a warning that counts them.

    Returns:
        rows ``(N, *)``, and the file that each was read from, where that is one of its own.
    """
    if encoding.words() and " " in reference and not os.path.exists(reference):
        hint = f"pass texts as a list, as in [{reference!r:.60}]"
        raise wrong(
            "a text file", expected="there", found=repr(reference), hint=hint, error=FileNotFoundError
        )
    if not (files := _files(reference, encoding)):
        return encode(reference, encoding), []
    x, kept = encoding.load(files, skip_broken)
    warn_of_sizes(reference, encoding)
    return x, [readable(str(files[i])) for i in kept]


def warn_of_sizes(reference: str, encoding: Encoding) -> None:
    """Warn where images are of another size than the model's, since they are resized to that."""
    files = _files(reference, encoding)
    high, wide = encoding.row_shape()[-2:] if files else (0, 0)
    others = [(file, size) for file in files if (size := _size(file)) not in (None, (high, wide))]
    for first, size in others[:1]:
        warnings.warn(
            f"{len(others)} of {len(files)} images are resized to {high} x {wide} pixels (height x width), "
            f"as the model takes them; the first is {first} with {size[0]} x {size[1]}",
            stacklevel=4,
        )


def _files(reference: str, encoding: Encoding) -> Sequence[Path]:
    """List the files that are to become a row each."""
    return encoding.files(Path(reference.removeprefix(f"{encoding.reader}:")))


def _size(file: Path) -> tuple[int, int] | None:
    """Tell an image's height and width as it is shown, without decoding it; ``None`` for a broken one."""
    from PIL import ExifTags, Image

    try:
        with Image.open(file) as image:
            wide, high = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return None
    return (wide, high) if turned else (high, wide)
