"""What people have in memory becomes the rows that a model takes; nothing of theirs is written to.

Shapes: ``N`` rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..datasets import Encoding
from ..errors import wrong
from ..tasks import X
from ..tasks.nouns import tensors

Array = Tensor | np.ndarray


def reference(value: Any) -> str | None:
    """Return a data reference or a path as text; ``None`` for anything else.

    Example:
        >>> reference("csv:new.csv"), reference([1, 2])
        ('csv:new.csv', None)
    """
    try:
        return os.fspath(value)
    except TypeError:
        return None


def encoded(value: Any, encoding: Encoding) -> X:
    """Make rows in the way that an encoding says.

    Args:
        value: what ``encoding.rows`` takes, or a map-style dataset of it. Images may have their channels
            last or, where they are grey, none; an array may be one row by itself.
        encoding: of the model.

    Raises:
        ValueError: if rows have another form; ``TypeError`` if it is another kind of thing.
    """
    value = _gathered(value)
    if _is_array(value):
        shape = encoding.row_shape()
        value = next((rows for rows in _arrangements(value) if tuple(rows.shape[1:]) == shape), value)
    return encoding.rows(value)


def plain(value: Any, takes: Callable[[X], Any], dtype: torch.dtype) -> X:
    """Make rows for a model that does not say how they are made.

    Args:
        value: a tensor, a mapping of tensors, an array, lists of numbers, or a map-style dataset of them.
        takes: runs the model on a few rows, with an error where it does not take them.
        dtype: of the model's weights.

    Raises:
        ValueError: if the model takes them in no arrangement, or they are nothing of the kind.
    """
    value = _gathered(value)
    if isinstance(value, Mapping):
        return taken([{name: _tensor(part) for name, part in value.items()}], takes)
    return taken(_castings(_tensor(value), dtype), takes)


def taken(candidates: Iterable[X], takes: Callable[[X], Any]) -> X:
    """Return the first of some rows that a model takes; ``ValueError`` where it takes none of them."""
    refused: list[tuple[X, Exception]] = []
    for rows in candidates:
        try:
            takes(rows)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            refused.append((rows, error))
        else:
            return rows
    first, why = refused[0]
    shapes = [f"{part.dtype} of shape {list(part.shape)}" for part in tensors(first)]
    pixels = any(part.dtype == torch.uint8 for part in tensors(first))
    hint = "scale pixels as they were for training, as in `x / 255`" if pixels else ""
    raise wrong(
        "rows", expected="such as the model was trained on", found=", ".join(shapes), hint=hint
    ) from why


def _is_array(value: Any) -> bool:
    return isinstance(value, Array)


def _gathered(value: Any) -> Any:
    """Take the inputs of a map-style dataset, and stack a list of arrays or tensors; else leave it."""
    if isinstance(value, Dataset):
        items = [value[i] for i in range(len(value))]  # type: ignore[arg-type]
        value = [item[0] if isinstance(item, tuple | list) else item for item in items]
    if _is_array(value):
        return value
    return _stacked(value) if _all_arrays(value) else _listed(value)


def _listed(value: Any) -> Any:
    """Put an image of Pillow that comes by itself into a list."""
    try:
        value.getbands()
    except AttributeError:
        return value
    return [value]


def _all_arrays(values: Any) -> bool:
    try:
        return len(values) > 0 and all(map(_is_array, values))
    except TypeError:
        return False


def _stacked(arrays: Any) -> Array:
    shapes = sorted({tuple(array.shape) for array in arrays})
    if len(shapes) > 1:
        raise wrong("rows", expected="of one shape", found=shapes)
    try:
        return torch.stack(list(arrays))
    except TypeError:
        return np.stack(arrays)


def _tensor(value: Any) -> Tensor:
    """Make a tensor of numbers; of an array a copy, since it may be one that nobody may write to."""
    try:
        return torch.as_tensor(np.array(value) if isinstance(value, np.ndarray) else value).detach()
    except (TypeError, ValueError, RuntimeError):
        raise wrong(
            "rows",
            expected="a tensor, or an array of numbers: the model does not say how others are made",
            found=type(value).__name__,
            hint="save it with `encoding=task.encoding`",
            error=TypeError,
        ) from None


def _castings(x: Tensor, dtype: torch.dtype) -> Iterator[Tensor]:
    """List the rows that ``x`` may stand for: as it is, in the model's numbers, with other axes."""
    pixels = x.dtype == torch.uint8 and x.ndim > 2  # which of two scales they are to have, nobody can know
    for rows in _arrangements(x):
        if not rows.is_floating_point():
            yield rows
        if not pixels:
            yield rows.to(dtype)


def _arrangements(x: Any) -> Iterator[Any]:
    """List the rows that an array may stand for: of channels last, grey without channels, one row."""
    for rows in (x, x[None]):
        yield rows
        if rows.ndim == 4:
            yield rows.swapaxes(1, 3).swapaxes(2, 3)
        if rows.ndim == 3:
            yield rows[:, None]
