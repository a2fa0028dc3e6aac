"""Columns of whole numbers that tell rows apart, and say nothing of them."""

from __future__ import annotations

import re

import numpy as np

ID = re.compile(r"(^|[^a-z])(id|ids|uid|guid)$", re.IGNORECASE)
WORDS = "index|idx|row|rows|nr|no|num|number|key|code|serial|account"
COUNT = re.compile(rf"(^|[^a-z])({WORDS})$|^unnamed: \d+$", re.IGNORECASE)
CAMEL = re.compile(r"[a-z](Id|ID|Ids|IDs)$")  # customerId, but not paid
CAMEL_COUNT = re.compile(r"[a-z](Index|Idx|Nr|No|Num|Number|Key|Code)$")
FEW, MANY = 20, 100  # different numbers of things, and rows, that are no chance
FIRST = 1000  # rows, which mostly tell that numbers are no whole ones
EXACT, LONG = 2.0**53, 2.0**64  # whole numbers between are no measures: they have more digits than a float

ROWS = "kept as numbers, though they tell rows apart as an id does; `drop` leaves out what says nothing"
GROUPS = "kept as numbers, though it is named as ids are; give it as one of `ids`, or `drop` it"


def numbered(name: str, array: np.ndarray) -> str:
    """Say that numbers stand for rows, or for what rows are of, or ``""``.

    Args:
        name: of their column.
        array: float64 ``(N,)``, NaN where one is missing.

    Example:
        >>> numbered("price", np.arange(300.0))[:36]
        'kept as numbers, though they tell ro'
        >>> numbered("price", np.arange(300.0) / 2)
        ''
    """
    bare = name.strip(" .:#_")
    is_id = bool(ID.search(bare) or CAMEL.search(bare))
    named = is_id or not bare or bool(COUNT.search(bare) or CAMEL_COUNT.search(bare))
    if not _whole(array[:FIRST]) or not _whole(array):
        return ""
    there = array[~np.isnan(array)]
    if len(there) == len(array) and _each_its_own(array, named):
        return ROWS
    return GROUPS if is_id and len(there) >= MANY and FEW <= len(np.unique(there)) < len(there) else ""


def _whole(array: np.ndarray) -> bool:
    there = array[~np.isnan(array)]
    return bool((there % 1 == 0).all())


def _each_its_own(array: np.ndarray, named: bool) -> bool:
    """Tell whether whole numbers count rows in their order, or number them in another."""
    steps = np.diff(array)
    if not len(steps):
        return False
    if (abs(steps) == 1).all() and len(set(steps)) == 1 and named:
        return True
    one_way = bool((steps > 0).all() or (steps < 0).all())
    low, high = abs(array).min(), abs(array).max()
    long = EXACT < low < high < min(LONG, 100 * low)
    if len(array) < MANY or not (named or one_way or long):
        return False
    return len(np.unique(array)) == len(array)
