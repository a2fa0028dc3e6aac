"""Whether the numbers of rows are numbers."""

from __future__ import annotations

import math

from torch import Tensor

from ..errors import explain
from .nouns import X


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
    for part in [x] if isinstance(x, Tensor) else x.values():
        if not part.is_floating_point() or math.isfinite(part.sum()):
            continue
        wrong = ~part.isfinite().reshape(len(part), -1).all(1)
        if count := int(wrong.sum()):
            more = f" and {count - 1} more" if count > 1 else ""
            raise ValueError(
                explain(
                    what,
                    expected="finite numbers",
                    found=f"NaN or infinity in row {int(wrong.int().argmax())}{more}",
                    hint="remove it, or fill the gaps",
                )
            )
