"""What people have in memory: data frames, lists and columns.

Shapes: ``N`` rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from ...errors import wrong

PLAIN = (bool, int, float, str)


def plain(values: Iterable[Any]) -> list[Any]:
    """Turn values into Python's own, ``None`` where one is missing, and all else into its text."""
    return [None if _missing(v) else v if isinstance(v, PLAIN) else _plain(v) for v in values]


def _missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither equal to itself nor another
        return True


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    value = float(value) if isinstance(value, Decimal) else value
    return value if isinstance(value, PLAIN) else str(value)


def items(value: Any) -> list[Any]:
    """List what is in a list, a tuple or a column; nothing, of what is no such thing, or of a string."""
    try:
        return [] if isinstance(value, str) else list(value)
    except TypeError:
        return []


def columns(frame: Any) -> dict[str, list[Any]] | None:
    """Take the columns of a pandas or polars DataFrame; ``None`` for anything else.

    Raises:
        ValueError: if two columns have one name, or there are no rows.
    """
    try:
        names = list(frame.columns)
    except AttributeError:
        return None
    twice = [f"`{name}` {n} times" for name, n in Counter(map(str, names)).items() if n > 1]
    if twice:
        hint = "name every column once"
        raise wrong("columns of the DataFrame", expected="distinct names", found=", ".join(twice), hint=hint)
    taken = {str(name): plain(frame[name].to_list()) for name in names}
    if not taken or not len(frame):
        found = f"{len(frame)} rows, {len(taken)} columns"
        raise wrong("DataFrame", expected="rows and columns", found=found)
    return taken
