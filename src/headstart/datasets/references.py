"""References such as ``"csv:train.csv#label"``, and the table of what can stand before the colon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import explain, unknown
from ..tasks import Task
from . import digits, public
from .options import Options, Reader
from .splits import SplitSpec, carve

IMAGES = 'PNG, JPEG, ... in one folder per class: "images:folder"'

READERS: dict[str, Reader] = {
    "digits": Reader(digits.read_digits, 'scans of 8 x 8 that ship with scikit-learn: "digits:5-9"'),
    "omniglot": Reader(public.read_omniglot, 'characters of 50 alphabets, 20 drawers: "omniglot:train"'),
    "mnist": Reader(public.read_mnist, 'digits, 28 x 28: "mnist", "mnist:3x32x32"'),
    "usps": Reader(public.read_usps, 'digits of another scanner, 16 x 16: "usps", "usps:28"'),
    "amazon_reviews": Reader(public.read_amazon_reviews, 'sentiment, 4 domains: "amazon_reviews:books"'),
}
SIZED = ("images", "omniglot", "mnist", "usps", "mnistm", "medmnist")


def read(
    reference: str,
    *,
    base: Path | str = Path("."),
    split: SplitSpec = SplitSpec(),  # noqa: B008 (frozen)
    resize: int | tuple[int, int] | None = None,
    skip_broken: bool = False,
    encoding: Mapping[str, Any] | None = None,
) -> list[Task]:
    """Turn a data reference into tasks.

    A reference is ``reader:argument``; ``headstart list datasets`` (or ``READERS``) shows the
    readers. Several label columns give several tasks on one tensor of inputs. ``+rotations`` at the
    end of a reference to images adds the turns by 90 degrees as classes.

    Args:
        reference: ``"csv:train.csv#label"``, ``"images:folder"``, ``"digits:5-9"``, ``"mnist"``, ...
        base: folder that relative paths start from.
        split: how rows are divided where the data have no test part of their own.
        resize: pixels of a side, or ``(height, width)``, for images.
        skip_broken: leave out images that do not decode, with a warning that counts them.
        encoding: ``task.encoding`` of an earlier reading, to encode these rows in the same way
            (statistics, vocabulary, classes); without its ``"classes"`` the labels may be others.

    Raises:
        ValueError: if the reference or the file's contents are wrong.
        FileNotFoundError: if a file or a set is not there.
        ImportError: if an optional dependency is missing; names the line that installs it.

    Example:
        >>> (task,) = read("digits:5-9")
        >>> task.kind.classes, tuple(task.train.x.shape[1:]), len(task.test)
        ((5, 6, 7, 8, 9), (1, 8, 8), 358)
    """
    name, colon, argument = reference.partition(":")
    name, plus, turn = name.partition("+") if not colon else (name, "", "")
    if colon and argument.endswith("+rotations"):
        argument, plus, turn = argument.removesuffix("+rotations"), "+", "rotations"
    if name not in READERS:
        if not colon and Path(name).suffix:
            hint = f'name the reader and the label, as in "csv:{reference}#label"'
            raise ValueError(
                explain("data reference", expected='"reader:argument"', found=f'"{reference}"', hint=hint)
            )
        raise ValueError(unknown("reader of a data reference", name, READERS))
    if plus and turn != "rotations":
        raise ValueError(unknown("option of a data reference", turn, ["rotations"]))
    if resize is not None and name not in SIZED:
        raise ValueError(
            explain("`resize`", expected="given for images only", found=f'`resize` with "{reference}"')
        )
    tasks = READERS[name].read(argument, Options(Path(base), split, resize, skip_broken, encoding))
    tasks = carve(tasks, split)
    return [digits.rotations(task) for task in tasks] if plus else tasks
