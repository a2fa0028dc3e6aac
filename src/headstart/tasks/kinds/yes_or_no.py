"""What kinds with a logit for yes or no share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import wrong
from .missing import known, mean_over_present


def cross_entropy(prediction: Tensor, y: Tensor, complete: bool, weights: Tensor | None = None) -> Tensor:
    """Average the binary cross-entropy, times the weight of no or yes, over the labels that are there."""
    target = (y if complete else y.nan_to_num(0)).to(prediction.dtype)
    losses = F.binary_cross_entropy_with_logits(prediction, target, reduction="none")
    if weights is not None:
        losses = losses * weights.to(losses)[target.long()]
    return losses.mean() if complete else mean_over_present(losses, known(y))


def stored(outputs: Tensor) -> Tensor:
    """Keep logits as float16 in [-60, 60], on the side of 0 that they are on.

    Example:
        >>> stored(torch.tensor([100.0, -1e-20, 0.0])).tolist()
        [60.0, -5.960464477539063e-08, 0.0]
    """
    small = outputs.clamp(-60, 60).half()
    least = torch.full_like(small, 2.0**-24)  # of float16
    return small.where((small != 0) | (outputs == 0), least.where(outputs > 0, -least))


def check(y: Tensor) -> None:
    """Raise ``ValueError`` for a target other than 0, 1 and NaN."""
    if not y.is_floating_point():
        raise wrong(
            "`y`", expected="float targets 0.0, 1.0 or NaN", found=str(y.dtype), hint="pass `y.float()`"
        )
    bad = y[~y.isnan() & (y != 0) & (y != 1)]
    if len(bad):
        raise wrong("`y`", expected="0, 1 or NaN where missing", found=float(bad[0]))
