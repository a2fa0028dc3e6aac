"""How each column of a table becomes features: numbers, categories and dates, learned from train rows.

Shapes: ``N`` rows.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...errors import wrong
from .cells import Coded, Floats, cells, coded
from .dates import Dates, date_format
from .files import Table
from .ids import Ids
from .numbered import numbered
from .written import Style, blank, nothing, number, spelled, style_of

CATEGORIES = 100
TYPOS = 0.1  # of a column: more words than this make it one of categories
LIKE_NUMBERS = re.compile(r"[^\w\s]{0,2}\s?\d")
NEW = 0.05  # of a column: more new values than this are told
FAR = 100  # standard deviations, beyond which numbers are likely of another scale
NAMES, DISTINCT = 20, 0.9  # so many words, of which this share differ, name the rows and say nothing of them
SAMPLE = 10_000  # rows that tell how far numbers usually are from their median
OUTLIER, OUTLIERS = 1000, 0.01  # so many times as far; at most that share of the rows

SENTINELS = {-1, -9, 9, 99, 999, 9999} | {-n for n in (99, 999, 9999, 99999, 999999)}

ODD = '(numbers are written as 1234.5, missing ones as nothing, texts are read by "text:")'
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
        style: how they are written, where that is not 1234.5.
        most: where a few train rows were far from all others, how many ``std`` from the mean the others
            reach, at which values end; else 0.
    """

    mean: float
    std: float
    missing: bool
    style: Style | None = None
    most: float = 0.0

    @property
    def width(self) -> int:
        """The number of features."""
        return (self.std > 0) + self.missing

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        about = asdict(self)
        return {key: v for key, v in about.items() if key not in ("style", "most") or v}

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make features ``(N, width)``; the mean stands in for a missing number."""
        found, words = _numbers(values, self.style)
        if words.any():
            row = int(words.argmax())
            raise wrong(
                f"column `{name}` of {where}",
                expected="numbers",
                found=f"{values[row]!r} in row {row}",
                hint="correct it, or leave it empty if it is missing",
            )
        column = (torch.from_numpy(found) - self.mean) / (self.std or 1.0)
        _check_finite(column, values, name, where)
        if self.most:
            column.clamp_(-self.most, self.most)
        features = [column.nan_to_num(0)] * (self.std > 0) + [column.isnan()] * self.missing
        return torch.stack([feature.float() for feature in features], 1)

    def remark(self, values: Sequence[Any]) -> str:
        """Say that values lie far from those of the train rows, where they do."""
        column, _ = _numbers(values, self.style)
        lost = int(np.isnan(column).sum())
        if not self.missing and 2 * lost > len(values):
            return f"{lost} of {len(values)} values are missing, of training rows none"
        away = np.nan_to_num(abs(column - self.mean) / self.std) if self.std else column * 0
        if not (far := away > FAR).any():
            return ""
        most = values[int(away.argmax())]
        return (
            f"{int(far.sum())} of {len(values)} values lie over {FAR} spreads from training rows, as {most}"
        )


@dataclass(frozen=True)
class Plain:
    """A column of numbers that stay as they are, none of them missing: what a policy observes."""

    width: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"plain": True}

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make features ``(N, 1)``."""
        made = Numbers(0.0, 1.0, missing=True).make(values, name, where)
        if made[:, 1].any():
            row = int(made[:, 1].argmax())
            raise wrong(
                f"column `{name}` of {where}", expected="a number in each row", found=f"none in row {row}"
            )
        return made[:, :1]

    def remark(self, values: Sequence[Any]) -> str:
        """Nothing is known of what is usual."""
        return ""


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

    def _places(self, values: Sequence[Any]) -> list[int | None]:
        """Tell which of the categories each value is, whichever reader gave it."""
        place = {spelled(c): k for k, c in enumerate(self.categories)}
        return [place.get(spelled(v)) for v in values]

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make features ``(N, width)``."""
        found = coded(values)
        hot = torch.zeros(len(found), self.width)
        at = found.spread([-1 if k is None else k for k in self._places(found.values)], -1, np.int64)
        rows = np.flatnonzero(at >= 0)
        hot[torch.from_numpy(rows), torch.from_numpy(at[rows])] = 1
        return hot

    def remark(self, values: Sequence[Any]) -> str:
        """Say that values are new, where some are; of 100 categories most, since rarer ones were left out."""
        found = coded(values)
        there = {v: n for v, n in zip(found.values, found.counts(), strict=True) if n}
        if not there and len(found):
            return "all values are missing"
        known = self._places(list(there))
        new = [v for v, k in zip(there, known, strict=True) if k is None and not nothing(str(v))]
        count, of = sum(there[v] for v in new), sum(there.values())
        if count <= of * (0.5 if self.width >= CATEGORIES else NEW):
            return ""
        told = f"{count} of {of} values are none of the training rows', such as {new[0]!r:.40}"
        return f"{told}; those had {', '.join(self.categories[:3])}"


def column_from_json(how: Mapping[str, Any]) -> Column:
    """Read what ``to_json`` of a column gave."""
    if "categories" in how:
        return Categories(tuple(how["categories"]))
    if "ids" in how:
        return Ids(tuple(how["ids"]))
    if "plain" in how:
        return Plain()
    if "format" in how:
        return Dates(**how)
    return Numbers(**{**how, "style": Style(**how["style"])} if how.get("style") else how)


@dataclass(frozen=True)
class Reading:
    """What the values of a column are as numbers.

    Args:
        array: the number of each value, NaN where it says that one is missing, or is a word.
        words: those that are neither.
        blanks: those that say it in a way that is taken for it among numbers alone, as "unknown".
        style: how they are written, where that is not 1234.5.
    """

    array: Sequence[float]
    words: Sequence[Any]
    blanks: Sequence[Any]
    style: Style | None


def reading(counts: Mapping[Any, int], table: Table) -> Reading:
    """Read the different values of a column as numbers, in the way in which most are written."""
    values = list(counts)
    plain = [number(v) if table.written or not isinstance(v, str) else None for v in values]
    odd = [v for v, p in zip(values, plain, strict=True) if p is None]
    words = [v for v in odd if not blank(v)]
    style = None
    if words and all(isinstance(v, str) for v in values):
        there = {v: n for v, n in counts.items() if not blank(v)}
        style = style_of(there, table.semicolons)
        if style and (table.written or any(number(v) is None for v in there)):
            plain = [math.nan if blank(v) else style.number(v) for v in values]
            words = [v for v, p in zip(values, plain, strict=True) if p is None]
        else:
            style = None
    array = [math.nan if p is None else p for p in plain]
    return Reading(array, words, [v for v in odd if blank(v)], style)


def fit_column(table: Table, name: str, train: Tensor) -> tuple[Column | None, str]:
    """Learn from train rows what a column becomes, ``None`` to leave it out, and what is to be said of it.

    Raises:
        ValueError: if a column of numbers holds a few words, or infinity.
    """
    column = table.inputs(name)
    if isinstance(column, Floats):
        return _fit_numbers(table, name, column.array, train)
    counts = dict(zip(column.values, column.counts(), strict=True))
    read = reading(counts, table)
    check_typos(table, name, read, counts)
    array = column.spread(read.array, math.nan, np.float64)
    if not read.words and sum(counts[v] for v in read.blanks) <= (array == array).sum():
        made, said = _fit_numbers(table, name, array, train, read.style)
        return made, "; ".join(filter(None, [said, told(read, counts)]))
    return _fit_words(table, column, train)


def told(read: Reading, counts: Mapping[Any, int]) -> str:
    """Say how numbers were read, where that is not the plain way."""
    said = []
    if read.style is not None:
        example = next(v for v in counts if number(v) is None and not blank(v))
        said.append(f"read as numbers, such as {example!r:.40} as {read.style.number(example):g}")
    if read.blanks:
        first = read.blanks[0]
        said.append(f"taken as missing where it says {first!r:.40}, in {counts[first]} rows")
    return "; ".join(said)


def _fit_words(table: Table, column: Coded, train: Tensor) -> tuple[Column | None, str]:
    column = column.recoded([spelled(v) for v in column.values])
    codes = column.codes[train.numpy()]
    different, first, count = np.unique(codes[codes >= 0], return_index=True, return_counts=True)
    order = np.argsort(first)  # as they appear
    counts = Counter({column.values[different[k]]: int(count[k]) for k in order})
    there = counts.total()
    if len(counts) < 2 and there in (0, len(train)):
        return None, ONE_VALUE
    if len(counts) > 1 and (form := date_format([v for v in counts if not blank(v)])):
        dates = Dates.fit([column.values[k] for k in codes if k >= 0], form, missing=there < len(train))
        return dates, f"read as dates ({form})"
    if there >= NAMES and len(counts) > DISTINCT * there:
        shown = next(iter(counts))
        return None, f"left out: nearly every word is another, as in ids; such as {shown!r:.40} {ODD}"
    kept = tuple(sorted(c for c, _ in counts.most_common(CATEGORIES)))
    return Categories(kept), _odd(counts) or (_kept(counts) if table.written else "")


def _odd(counts: Counter[str]) -> str:
    """Say what may surprise of a column that becomes one of categories."""
    words = [value for value in counts if (n := number(value)) is None or n != n]  # NaN is none
    if words and sum(counts[w] for w in words) < counts.total() / 2:
        return f"read as categories: most values are numbers, but {words[0]!r:.40} is none {ODD}"
    first = next(iter(counts))
    begin = [value for value in words if LIKE_NUMBERS.match(value)]
    if NAMES / 2 < len(counts) <= CATEGORIES and len(begin) > DISTINCT * len(counts):
        return f"read as categories, {len(counts)} of them, such as {first!r:.40} {ODD}"
    if len(counts) > CATEGORIES:
        return f"read as categories, the {CATEGORIES} commonest of {len(counts)}, such as {first!r:.40} {ODD}"
    return ""


def _kept(counts: Counter[str]) -> str:
    """Say that a word which may mean that nothing is there was taken for a value."""
    words = [v for v in counts if nothing(v)]
    told = ", ".join(f"{v!r} ({counts[v]} rows)" for v in words)
    return f"has {told} as a value of its own; leave the field empty where it is missing" if words else ""


def _fit_numbers(
    table: Table, name: str, array: np.ndarray, train: Tensor, style: Style | None = None
) -> tuple[Numbers | None, str]:
    column = torch.from_numpy(array)
    _check_finite(column, table.column(name), name, table.where)
    there = column[train]
    there = there[~there.isnan()]
    some = 0 < len(there) < len(train)
    if not len(there) or _constant(there):
        return (Numbers(float(there[0]), 0.0, missing=True, style=style), "") if some else (None, ONE_VALUE)
    made = replace(numbers_of(there), missing=some, style=style)
    said = [numbered(name, array), far_off(there, made), _stands_apart(there), _later(array, there, made)]
    return made, "; ".join(filter(None, said))


def far_off(there: Tensor, made: Numbers) -> str:
    """Say that some numbers are far from all others, or `""`: they end, or decide the scale."""
    if made.most:
        middle, limit, told = made.mean, made.most * made.std * (1 + 1e-9), "; these end at {:.3g} spreads"
    else:
        middle, limit = _reach(there)
        told = ", which decide its scale; correct them, or take the logarithm of all"
    if not _beyond(there, middle, limit) or not (made.most or made.std > limit / NAMES):
        return ""
    away = (there - middle).abs()
    count, far = int((away > limit).sum()), float(there[away.argmax()])
    return f"has {count} rows that are far from all others, such as {far:g}{told.format(made.most)}"


def _later(array: np.ndarray, there: Tensor, made: Numbers) -> str:
    """Say that rows outside of the train rows are far from these, or `""`."""
    limit = FAR * made.std
    ends = torch.tensor([np.fmin.reduce(array), np.fmax.reduce(array)])
    if made.most or not _beyond(ends, made.mean, limit):
        return ""
    count = int((abs(array - made.mean) > limit).sum()) - int(((there - made.mean).abs() > limit).sum())
    return (
        f"has {count} rows beside the training rows that lie over {FAR} spreads from these" if count else ""
    )


def _stands_apart(there: Tensor) -> str:
    """Say that one number which often means that nothing is known is far from all others, or `""`."""
    for value in _ends(there):
        if value not in SENTINELS:
            continue
        others = there[there != value]
        count, (low, high) = len(there) - len(others), _ends(others)
        if count >= NAMES / 2 and min(abs(value - low), abs(value - high)) > high - low > 0:
            return f"has {value:g} in {count} rows, far from all others; leave them empty if it means none"
    return ""


def _ends(there: Tensor) -> tuple[float, float]:
    """Give the least number and the most."""
    low, high = there.aminmax()
    return float(low), float(high)


def _beyond(there: Tensor, middle: float, limit: float) -> bool:
    """Tell whether any number is further than that from another."""
    low, high = _ends(there)
    return max(high - middle, middle - low) > limit


def _constant(there: Tensor) -> bool:
    """Tell whether numbers are one number, as exactly as sums of float64 are."""
    low, high = _ends(there)
    return high - low <= 4 * sys.float_info.epsilon * max(abs(low), abs(high))


def numbers_of(there: Tensor) -> Numbers:
    """Learn from numbers ``(N,)`` float64, none missing, how they are standardised."""
    usual, most = _usual(there), 0.0
    if not len(there) or _constant(there):
        return Numbers(float(there[0]) if len(there) else 0.0, 0.0, missing=False)
    mean, std = float(usual.mean()), float(usual.std(correction=0))
    if len(usual) < len(there):
        most = float((usual - mean).abs().max()) / std
    return Numbers(mean, std, missing=False, most=most)


def _usual(there: Tensor) -> Tensor:
    """Leave out the few numbers that would decide the scale of all others, where there are such."""
    middle, limit = _reach(there)
    if limit == math.inf or not _beyond(there, middle, limit):
        return there
    near = there[(there - middle).abs() <= limit]
    few = len(there) - len(near) <= max(1, OUTLIERS * len(there))
    return near if few and not _constant(near) else there


def _reach(there: Tensor) -> tuple[float, float]:
    """Give the middle of numbers, and how far from it one may be before it is an outlier."""
    if len(there) < NAMES:
        return 0.0, math.inf
    some = there[:: max(1, len(there) // SAMPLE)]
    middle = some.median()
    distances = (some - middle).abs()
    apart = distances[distances > 0]
    return float(middle), OUTLIER * float(apart.median()) if len(apart) else math.inf


def _numbers(values: Sequence[Any], style: Style | None) -> tuple[np.ndarray, np.ndarray]:
    """Read cells as numbers, NaN where one is missing, and tell which are words."""
    column = cells(values)
    if isinstance(column, Floats):
        return column.array, np.zeros(len(column), dtype=bool)
    read = style.number if style else number
    found = [read(v) if isinstance(v, str) else number(v) for v in column.values]
    found = [math.nan if n is None and blank(v) else n for v, n in zip(column.values, found, strict=True)]
    array = column.spread([math.nan if n is None else n for n in found], math.nan, np.float64)
    return array, column.spread([n is None for n in found], False, bool)


def check_typos(table: Table, name: str, read: Reading, counts: Mapping[Any, int]) -> None:
    """Raise ``ValueError`` for the few words of a written column of numbers, which are slips of the hand."""
    there, odd = sum(counts.values()), sum(counts[w] for w in read.words)
    if table.written and 0 < odd <= TYPOS * there:
        values, words = table.column(name), set(read.words)
        row, word = next((row, v) for row, v in enumerate(values) if v in words)
        raise wrong(
            f"column `{name}` of {table.where}",
            expected=f"numbers, as {there - odd} of its {there} values are",
            found=f"{word!r} in row {row}" + (f", and {odd - 1} more" if odd > 1 else ""),
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
