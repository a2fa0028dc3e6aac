"""The cells of a column: an array of numbers, or each different value once and which of them a row has.

Shapes: ``N`` rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Floats(Sequence[Any]):
    """Hold cells that are all numbers, or missing.

    Args:
        array: ``(N,)`` float64, NaN where one is missing.

    Example:
        >>> list(Floats(np.array([1.0, 2.5, np.nan])))
        [1, 2.5, None]
    """

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, row: Any) -> Any:
        return _python(float(self.array[row]))


@dataclass(frozen=True, eq=False)
class Coded(Sequence[Any]):
    """Hold cells of any kind.

    Args:
        values: the different ones, none of them ``None``.
        codes: ``(N,)`` which of them each row has; -1 where it is missing.

    Example:
        >>> cells = Coded.of(["a", "b", None, "a"])
        >>> cells.values, cells.codes.tolist(), list(cells)
        (['a', 'b'], [0, 1, -1, 0], ['a', 'b', None, 'a'])
    """

    values: Sequence[Any]
    codes: np.ndarray

    @classmethod
    def of(cls, cells: Iterable[Any]) -> Coded:
        """Number cells in the order in which they first appear; NaN is missing."""
        place: dict[Any, int] = {}
        codes = [
            -1 if v is None or v != v else place.setdefault((isinstance(v, bool), v), len(place))
            for v in cells
        ]
        return cls([v for _, v in place], np.array(codes, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: Any) -> Any:
        return None if (code := self.codes[row]) < 0 else self.values[code]

    def counts(self, rows: Any = slice(None)) -> list[int]:
        """Count how often each value occurs, among some rows."""
        codes = self.codes[rows]
        return np.bincount(codes[codes >= 0], minlength=len(self.values)).tolist()

    def spread(self, values: Sequence[Any], missing: Any, dtype: Any) -> np.ndarray:
        """Give each row what stands in place of its value: ``(N,)``."""
        return np.array([*values, missing], dtype=dtype)[self.codes]

    def recoded(self, values: Sequence[Any]) -> Coded:
        """Put others in place of the values; of these some may be equal, or ``None``."""
        new = Coded.of(values)
        return Coded(new.values, np.append(new.codes, np.int32(-1))[self.codes])


Cells = Floats | Coded


def cells(values: Sequence[Any]) -> Cells:
    """Take values as cells, if they are none yet."""
    return values if isinstance(values, Floats | Coded) else Coded.of(values)


def coded(values: Sequence[Any]) -> Coded:
    """Take values by what they are and which a row has; whole numbers as ``int``."""
    if not isinstance(values, Floats):
        return values if isinstance(values, Coded) else Coded.of(values)
    there = ~np.isnan(values.array)
    different, first, codes = np.unique(values.array[there], return_index=True, return_inverse=True)
    order = np.argsort(first)  # as they appear
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    whole = np.full(len(values), -1, dtype=np.int32)
    whole[there] = number[codes]
    return Coded([_python(v) for v in different[order].tolist()], whole)


def _python(value: float) -> int | float | None:
    if value != value:
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
