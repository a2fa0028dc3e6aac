"""Arrays of numbers as rows.

Shapes: ``N`` rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import wrong
from .thin import is_sparse, thin

MANY = 2**30  # bytes as float32


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
    if array.dtype == np.uint8 and array.ndim > 2:
        return torch.from_numpy(np.divide(array, 255, dtype=np.float32))
    return torch.from_numpy(array.astype(np.float32))


def lit(x: Tensor) -> Tensor:
    """Bring pixels of 8 bits, in ``(N, *, *)`` and more axes, to floats in [0, 1]; all else stays as it is.

    Example:
        >>> lit(torch.tensor([[[0, 51, 255]]], dtype=torch.uint8))
        tensor([[[0.0000, 0.2000, 1.0000]]])
    """
    return x.float() / 255 if x.dtype == torch.uint8 and x.ndim > 2 else x


def lengths(x: object) -> Tensor | None:
    """Count what is not padding in each row of tokens ``(N, L)``; ``None`` for rows of other sorts.

    Example:
        >>> lengths(torch.tensor([[3, 4], [5, 0]])).tolist()
        [2, 1]
    """
    if not isinstance(x, Tensor) or x.ndim != 2 or x.is_floating_point():
        return None
    return (x != 0).sum(1)


def many(x: Tensor) -> bool:
    """Tell whether pixels of 8 bits are so many that they stay so until a batch of them is used."""
    return x.dtype == torch.uint8 and x.ndim > 2 and 4 * x.numel() > MANY


def channels_first(x: Tensor) -> Tensor:
    """Move the channels of images that have them last, ``(N, H, W, 1, 3 or 4)``, to ``(N, C, H, W)``.

    All else comes back as it is: where one side has fewer than 5 pixels nobody can tell which axis is which.

    Example:
        >>> channels_first(torch.zeros(9, 32, 24, 3)).shape, channels_first(torch.zeros(9, 3, 32, 24)).shape
        (torch.Size([9, 3, 32, 24]), torch.Size([9, 3, 32, 24]))
    """
    last = x.ndim == 4 and x.shape[3] in (1, 3, 4) and min(x.shape[1:3]) > 4
    return x.movedim(3, 1).contiguous() if last else x


def ready(value: Any, shape: tuple[int, ...], what: str = "rows") -> Tensor:
    """Take an array, a tensor or lists of numbers as rows ``(N, *shape)``, as ``inputs`` makes them.

    Images may have their channels last. A sparse matrix stays so.

    Raises:
        ValueError: if rows have another shape, are not of numbers, or hold NaN or infinity.
    """
    if is_sparse(value):
        read = thin(value, what)
        if tuple(read.shape[1:]) == shape and bool(read.numbers.isfinite().all()):
            return read.float()
        value = read.to_dense()  # what is off is told below
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise wrong(what, expected=f"rows of {list(shape)}", found=f"rows that differ ({error})") from None
    x = inputs(array, what)
    for rows in (x, channels_first(x)):
        if tuple(rows.shape[1:]) == shape:
            return rows
    raise wrong(what, expected=f"rows of {list(shape)}", found=list(x.shape[1:]))
