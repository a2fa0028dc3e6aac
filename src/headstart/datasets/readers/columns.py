"""How each column of a table becomes features: numbers, categories and dates, learned from train rows.

Shapes: ``N`` rows.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from ...errors import wrong
from .dates import Dates, date_format
from .files import Table

CATEGORIES = 100
TYPOS = 0.1  # of a column: more words than this make it one of categories
IDS = re.compile(r"(^|[^a-z])(id|ids|index|idx|row|rows|nr|no|key)$")
FAR = 100  # standard deviations, beyond which numbers are likely of another scale
NAMES, DISTINCT = 20, 0.9  # so many words, of which this share differ, name the rows and say nothing of them

ODD = '(numbers are written as 1234.5, missing ones as nothing, texts are read by "text:")'
COUNTING = "kept as numbers, though they number the rows; `drop` leaves out what says nothing"
ONE_VALUE = "left out: one value in all training rows"


class Column(Protocol):
    """What a column becomes."""

    @property
    def width(self) -> int:
        """The number of features."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make features ``(N, width)``."""

    def remark(self, values: Sequence[Any]) -> str:
        """Say what may surprise of new rows, or ``""``."""


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: standardised; where some were missing, one more feature says which are.

    Args:
        mean: of the train rows.
        std: of the train rows; 0 where all are alike, so that only the missing ones make a feature.
        missing: whether train rows missed it.
    """

    mean: float
    std: float
    missing: bool

    @property
    def width(self) -> int:
        """The number of features."""
        return (self.std > 0) + self.missing

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make features ``(N, width)``; the mean stands in for a missing number."""
        numbers = [number(v) for v in values]
        if words := _words(values, numbers):
            row, word = words[0]
            raise wrong(
                f"column `{name}` of {where}",
                expected="numbers",
                found=f"{word!r} in row {row}",
                hint="correct it, or leave it empty if it is missing",
            )
        column = (torch.tensor(numbers, dtype=torch.float64) - self.mean) / (self.std or 1.0)
        _check_finite(column, values, name, where)
        features = [column.nan_to_num(0)] * (self.std > 0) + [column.isnan()] * self.missing
        return torch.stack([feature.float() for feature in features], 1)

    def remark(self, values: Sequence[Any]) -> str:
        """Say that values lie far from those of the train rows, where they do."""
        column = torch.tensor([number(v) for v in values], dtype=torch.float64)
        away = ((column - self.mean) / self.std).abs().nan_to_num(0) if self.std else column * 0
        if not (far := away > FAR).any():
            return ""
        most = values[int(away.argmax())]
        return (
            f"{int(far.sum())} of {len(values)} values lie over {FAR} spreads from training rows, as {most}"
        )


@dataclass(frozen=True)
class Categories:
    """A column of categories: one feature for each; a category that train did not have gives zeros.

    Args:
        categories: the commonest of the train rows.
    """

    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """The number of features."""
        return len(self.categories)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"categories": list(self.categories)}

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make features ``(N, width)``."""
        place = {c: k for k, c in enumerate(self.categories)}
        hot = torch.zeros(len(values), len(place))
        at = [(i, place[str(v)]) for i, v in enumerate(values) if v is not None and str(v) in place]
        if at:
            hot[tuple(torch.tensor(at).T)] = 1
        return hot

    def remark(self, values: Sequence[Any]) -> str:
        """Say that most values are new, where they are."""
        there = [str(v) for v in values if v is not None]
        place = set(self.categories)
        new = [v for v in there if v not in place]
        if 2 * len(new) <= len(there):
            return ""
        known = ", ".join(self.categories[:3])
        told = f"{len(new)} of {len(there)} values are none of the training rows', such as {new[0]!r:.40}"
        return f"{told}; those had {known}"


def column_from_json(how: Mapping[str, Any]) -> Column:
    """Read what ``to_json`` of a column gave."""
    if "categories" in how:
        return Categories(tuple(how["categories"]))
    return Dates(**how) if "format" in how else Numbers(**how)


def fit_column(table: Table, name: str, train: Tensor) -> tuple[Column | None, str]:
    """Learn from train rows what a column becomes, ``None`` to leave it out, and what is to be said of it.

    Raises:
        ValueError: if a column of numbers holds a few words, or infinity.
    """
    values = table.column(name)
    numbers = [number(v) for v in values]
    check_typos(table, name, numbers)
    if None not in numbers and (table.written or not table.words(name)):
        made = _fit_numbers(values, numbers, name, table.where, train)
        return made, (COUNTING if _counts_rows(name, numbers) else "") if made else ONE_VALUE
    there = [str(values[i]) for i in train.tolist() if values[i] is not None]
    counts = Counter(there)
    if len(counts) < 2 and len(there) in (0, len(train)):
        return None, ONE_VALUE
    if len(counts) > 1 and (form := date_format(there)):
        return Dates.fit(there, form, missing=len(there) < len(train)), f"read as dates ({form})"
    if len(there) >= NAMES and len(counts) > DISTINCT * len(there):
        return None, f"left out: nearly every word is another, as in ids; such as {there[0]!r:.40} {ODD}"
    return Categories(tuple(sorted(c for c, _ in counts.most_common(CATEGORIES)))), _odd(counts)


def _counts_rows(name: str, numbers: Sequence[float | None]) -> bool:
    """Tell whether a column that is called an id numbers the rows in their order."""
    return bool(IDS.search(name.lower())) and all(
        a is not None and b is not None and b - a == 1 for a, b in pairwise(numbers)
    )


def _odd(counts: Counter[str]) -> str:
    """Say what may surprise of a column that becomes one of categories."""
    words = [value for value in counts if number(value) is None]
    if words and sum(counts[w] for w in words) < counts.total() / 2:
        return f"read as categories: most values are numbers, but {words[0]!r:.40} is none {ODD}"
    if len(counts) > CATEGORIES:
        first = next(iter(counts))
        return f"read as categories, the {CATEGORIES} commonest of {len(counts)}, such as {first!r:.40} {ODD}"
    return ""


def _fit_numbers(
    values: Sequence[Any], numbers: Sequence[float | None], name: str, where: str, train: Tensor
) -> Numbers | None:
    column = torch.tensor(numbers, dtype=torch.float64)
    _check_finite(column, values, name, where)
    there = column[train][~column[train].isnan()]
    some = 0 < len(there) < len(train)
    if not len(there) or there.min() == there.max():
        return Numbers(float(there[0]), 0.0, missing=True) if some else None
    return Numbers(float(there.mean()), float(there.std(correction=0)), missing=some)


def number(value: Any) -> float | None:
    """Read one value, NaN where it is missing; ``None`` where it is no number."""
    if value is None:
        return math.nan
    if value is True or value is False or "_" in str(value):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _words(values: Sequence[Any], numbers: Sequence[float | None]) -> list[tuple[int, Any]]:
    """List the rows whose value is no number, and that value."""
    return [(row, v) for row, (v, n) in enumerate(zip(values, numbers, strict=True)) if n is None]


def check_typos(table: Table, name: str, numbers: Sequence[float | None]) -> None:
    """Raise ``ValueError`` for the few words of a written column of numbers, which are slips of the hand."""
    values = table.column(name)
    words, there = _words(values, numbers), len(values) - sum(v is None for v in values)
    if table.written and 0 < len(words) <= TYPOS * there:
        row, word = words[0]
        raise wrong(
            f"column `{name}` of {table.where}",
            expected=f"numbers, as {there - len(words)} of its {there} values are",
            found=f"{word!r} in row {row}" + (f", and {len(words) - 1} more" if words[1:] else ""),
            hint="correct it, or leave it empty if it is missing; for categories, write names like c3",
        )


def _check_finite(column: Tensor, values: Sequence[Any], name: str, where: str) -> None:
    """Raise ``ValueError`` where a number is infinite, or becomes so in float32."""
    if (bad := column.float().isinf()).any():
        row = int(bad.nonzero()[0])
        told = "infinity" if math.isinf(float(values[row])) else f"{values[row]}, which float32 cannot hold,"
        raise wrong(
            f"column `{name}` of {where}",
            expected="finite numbers",
            found=f"{told} in row {row}",
            hint="correct it, or leave it empty if it is missing",
        )
