"""A missing label: NaN among float targets, -100 among class numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import wrong

MISSING = -100


def known(y: Tensor) -> Tensor:
    """Tell which labels are not missing, as a mask of the shape of ``y``.

    Example:
        >>> known(torch.tensor([1, -100])).tolist()
        [True, False]
    """
    return ~y.isnan() if y.is_floating_point() else y != MISSING


def present(y: Tensor) -> Tensor:
    """Tell which rows have at least one label, as a mask ``(B,)``.

    Example:
        >>> present(torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]])).tolist()
        [True, False]
    """
    there = known(y)
    return there.flatten(1).any(1) if there.ndim > 1 else there


def mean_over_present(losses: Tensor, there: Tensor) -> Tensor:
    """Average ``losses`` where ``there``; 0 with a graph where nothing is."""
    return torch.where(there, losses, 0).sum() / there.sum().clamp(min=1)


def said(outputs: Tensor) -> Tensor:
    """Return a head's outputs ``(B, ...)``, of which any is an answer.

    Raises:
        FloatingPointError: if one is NaN or infinity, which names no class; the message has its row.
            Minus infinity is the logit of what never is.
    """
    if outputs.is_floating_point() and not outputs.is_meta and (bad := ~(outputs < torch.inf)).any():
        rows = bad.flatten(1).any(1) if bad.ndim > 1 else bad
        what = "NaN" if outputs.isnan().any() else "infinity"
        found = f"{what} in row {int(rows.int().argmax())}, {int(rows.sum())} of {len(rows)} rows in all"
        hint = (
            "weights or rows may be no numbers, or too large; look at them by `isfinite()` and `abs().max()`"
        )
        raise wrong("answers", expected="numbers", found=found, hint=hint, error=FloatingPointError)
    return outputs
