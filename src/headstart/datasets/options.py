"""What every reader is given, and what the table of readers says about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ..errors import wrong
from ..tasks import Task
from ..tasks.encoding import Encoding
from .splits import SplitSpec

LabelKind = Literal["classes", "numbers"]


@dataclass(frozen=True)
class Options:
    """Hold what ``read`` was asked for beside the reference; see ``read`` for each field.

    Args:
        kinds: what labels are, by column, where that is said.
        tokens: the text of a tokenizer that cuts texts; "" for our own words.
        ids: columns that name users, items and the like.
        like: how columns became features before; only those that are there are made alike.
    """

    base: Path = Path()
    split: SplitSpec = field(default_factory=SplitSpec)
    resize: tuple[int, int] | None = None
    skip_broken: bool = False
    encoding: Encoding | None = None
    drop: Sequence[str] = ()
    kinds: Mapping[str, LabelKind] = field(default_factory=dict)
    tokens: str = ""
    ids: Sequence[str] = ()
    like: Encoding | None = None


@dataclass(frozen=True)
class Reader:
    """Say how one kind of reference is read.

    Args:
        read: makes tasks from the part of the reference after ``:``.
        description: one line for ``headstart list datasets``.
        extra: the optional dependencies it needs, as in ``pip install "headstart[extra]"``.
        encoding: how it makes rows, where it reads files of the user's own; what stands after a # is
            then for it to read. ``None`` for a benchmark set, whose names after a # choose tasks.
        labels: whether labels may be of either kind, as ``kind=`` says.
        sized: whether images may be brought to a size, as ``resize=`` says.
        texts: whether rows are texts, which a tokenizer may cut, as ``tokens=`` says.

    Example:
        >>> from headstart.datasets import READERS
        >>> READERS["parquet"].extra
        'tables'
    """

    read: Callable[[str, Options], list[Task]]
    description: str
    extra: str = ""
    encoding: type[Encoding] | None = None
    labels: bool = False
    sized: bool = False
    texts: bool = False


def need(module: str, extra: str) -> None:
    """Raise ``ImportError`` with the line that installs an optional dependency which is missing."""
    if find_spec(module) is None:
        raise wrong(
            f"`{module}`",
            expected="installed",
            found="no such package",
            hint=f'run: pip install "headstart[{extra}]"',
            error=ImportError,
        )
