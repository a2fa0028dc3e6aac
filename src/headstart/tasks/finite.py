"""Whether the numbers of rows are numbers."""

from __future__ import annotations

import math

from torch import Tensor

from ..errors import wrong
from .nouns import X, tensors


def finite(x: X) -> bool:
    """Tell whether rows hold neither NaN nor infinity; costs one sum where they do not.

    Example:
        >>> import torch
        >>> finite(torch.tensor([[1.0], [torch.inf]]))
        False
    """
    return all(map(_finite, tensors(x)))


def _finite(x: Tensor) -> bool:
    return not x.is_floating_point() or math.isfinite(x.sum()) or bool(x.isfinite().all())


def check_finite_rows(x: X, what: str) -> None:
    """Raise ``ValueError`` where rows hold NaN or infinity; whole numbers are not looked at.

    Costs one sum where all is well.

    Args:
        x: rows ``(B, *)``.
        what: how the message calls them.

    Example:
        >>> import torch
        >>> check_finite_rows(torch.tensor([[1.0], [torch.nan]]), "`x`")
        Traceback (most recent call last):
        ValueError: `x` should be finite numbers; found NaN or infinity in row 1; remove it, or fill the gaps
    """
    for part in tensors(x):
        if _finite(part):
            continue
        bad = ~part.isfinite().reshape(len(part), -1).all(1)
        count = int(bad.sum())
        more = f" and {count - 1} more" if count > 1 else ""
        raise wrong(
            what,
            expected="finite numbers",
            found=f"NaN or infinity in row {int(bad.int().argmax())}{more}",
            hint="remove it, or fill the gaps",
        )
