"""What people have in memory: data frames, arrays and tensors.

Shapes: ``N`` rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

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


def inputs(array: np.ndarray, what: str) -> Tensor:
    """Make an array into inputs ``(N, *)`` float32: 8-bit images over 255, all else as it is.

    Raises:
        ValueError: if it has no rows, is not of numbers, or holds NaN or infinity.
    """
    if array.ndim < 2 or not len(array) or array.dtype.kind not in "biuf":
        raise wrong(what, expected="numbers of shape (rows, ...)", found=f"{array.dtype} {array.shape}")
    bad = ~np.isfinite(array).reshape(len(array), -1).all(1)
    if bad.any():
        raise wrong(
            what,
            expected="finite numbers",
            found=f"NaN or infinity in {bad.sum()} rows, the first is row {int(bad.argmax())}",
            hint="remove these rows, or fill the gaps",
        )
    pixels = array.dtype == np.uint8 and array.ndim > 2
    return torch.from_numpy(np.asarray(array, dtype=np.float32) / (255 if pixels else 1))


def ready(value: Any, shape: tuple[int, ...], what: str = "rows") -> Tensor:
    """Take an array, a tensor or lists of numbers as rows ``(N, *shape)``, as ``inputs`` makes them.

    Raises:
        ValueError: if rows have another shape, are not of numbers, or hold NaN or infinity.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise wrong(what, expected=f"rows of {list(shape)}", found=f"rows that differ ({error})") from None
    x = inputs(array, what)
    if tuple(x.shape[1:]) != shape:
        raise wrong(what, expected=f"rows of {list(shape)}", found=list(x.shape[1:]))
    return x
