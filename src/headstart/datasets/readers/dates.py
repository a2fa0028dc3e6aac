"""A column of dates: when it was, in the year, in the week and in the day.

Shapes: ``N`` rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

import torch
from torch import Tensor

from ...errors import wrong
from .cells import coded
from .written import blank

ISO = "ISO"
_DAYS = (
    "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%Y",
    "%Y.%m.%d", "%d %b %Y", "%d %B %Y", "%d. %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d%b%Y", "%b %d, %Y",
    "%b %d %Y", "%B %d, %Y", "%a, %d %b %Y", "%a %b %d %Y", "%d/%b/%Y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ":%H:%M:%S")
_MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%m.%Y", "%b-%y", "%b-%Y", "%b %Y", "%B %Y")
_TIMES = ("%H:%M", "%H:%M:%S", "%I:%M %p")  # of many: a few are categories
FORMATS = (ISO, *(day + clock for day in _DAYS for clock in _CLOCKS), *_MONTHS)
NEARLY, SOME = 0.95, 40  # the share of a column that has to fit; on how many values forms are tried
EPOCH = datetime(1970, 1, 1)
YEAR = 365.25  # days


def date_format(values: Sequence[str]) -> str:
    """Find the form in which nearly all values are dates; ``""`` where there is none.

    Of forms that fit equally, the month comes before the day, as in ``01/31/2024``.

    Example:
        >>> date_format(["2024-02-29", "2023-12-01"]), date_format(["29.2.2024"]), date_format(["a", "20240229"])
        ('ISO', '%d.%m.%Y', '')
    """  # noqa: E501
    distinct = list(dict.fromkeys(values))
    if sum(any(map(str.isdigit, v)) for v in distinct[:SOME]) < NEARLY * len(distinct[:SOME]) - 1:
        return ""
    forms = FORMATS + _TIMES * (len(distinct) >= SOME)
    likely = [form for form in forms if _share(distinct[:SOME], form) >= NEARLY - 0.05]
    shares = {form: _share(distinct, form) for form in likely}
    best = max(shares, key=shares.__getitem__, default="")
    return best if best and shares[best] >= NEARLY else ""


def _share(values: Sequence[str], form: str) -> float:
    return sum(_moment(v, form) is not None for v in values) / max(1, len(values))


def _moment(value: str, form: str) -> datetime | None:
    """Read a date, in the time of the place where it was written; ``None`` for what is none, or a number."""
    if value.isdigit():
        return None
    value = value.removesuffix(" UTC").removesuffix(" GMT")
    try:
        read = datetime.fromisoformat(value) if form == ISO else datetime.strptime(value, form)
    except ValueError:
        return None
    return read.replace(tzinfo=None)


@dataclass(frozen=True)
class Dates:
    """A column of dates: the day, standardised, and where it lies in the year, the week and the day.

    A place in the year is a sine and a cosine, so that December is next to January; so are the others.
    A missing date, or what is none, is 0 in all, and one more feature says so where train rows had such.

    Args:
        format: in which dates are written, as for ``strptime``, or ``"ISO"``.
        mean: of the train rows, in days since 1970.
        std: in days, of the train rows, at least a year: dates of other years stay of order 1.
        hours: whether train rows had hours.
        missing: whether train rows missed it.
    """

    format: str
    mean: float
    std: float
    hours: bool
    missing: bool

    @classmethod
    def fit(cls, values: Sequence[str], form: str, *, missing: bool) -> Self:
        """Learn from the dates of the train rows."""
        read = {v: _moment(v, form) for v in dict.fromkeys(values)}
        day = {v: _days(moment) for v, moment in read.items() if moment is not None}
        days = torch.tensor([day[v] for v in values if v in day], dtype=torch.float64)
        return cls(
            format=form,
            mean=float(days.mean()),
            std=max(float(days.std(correction=0)), YEAR),
            hours=bool((days % 1).any()),
            missing=missing or len(days) < len(values),
        )

    @property
    def width(self) -> int:
        """The number of features."""
        return 5 + 2 * self.hours + self.missing

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make features ``(N, width)``; ``ValueError`` where most are no dates of the format."""
        found = coded(values)
        read = [_moment(str(v), self.format) for v in found.values]
        none = [moment is None and not blank(v) for v, moment in zip(found.values, read, strict=True)]
        odd = found.spread(none, False, bool)
        if 2 * odd.sum() > (found.codes >= 0).sum():
            row = int(odd.argmax())
            raise wrong(
                f"column `{name}` of {where}",
                expected=f'dates of the form "{self.format}", as the training rows had',
                found=f"{values[row]!r} in row {row}",
                hint="write dates as then",
            )
        features = torch.tensor([self._features(moment) for moment in (*read, None)])
        return features[torch.from_numpy(found.codes).long()]

    def remark(self, values: Sequence[Any]) -> str:
        """Say nothing: dates may be any."""
        return ""

    def _features(self, moment: datetime | None) -> list[float]:
        if moment is None:
            return [0.0] * (self.width - self.missing) + [1.0] * self.missing
        days = _days(moment)
        turns = [moment.timetuple().tm_yday / YEAR, moment.weekday() / 7, *([days % 1] * self.hours)]
        circle = [f(2 * math.pi * turn) for turn in turns for f in (math.sin, math.cos)]
        return [(days - self.mean) / self.std, *circle, *([0.0] * self.missing)]


def _days(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds() / 86_400
