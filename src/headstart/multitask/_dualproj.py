"""The mean gradient, brought out of conflict.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from torch import Tensor

from ._cone import least
from ._gramian import Directions


def dualproj(gramian: Tensor) -> Tensor:
    r"""Weigh tasks by the step nearest to the mean gradient that goes against no task.

    .. math:: \min_d \Big| d - \tfrac1K \sum_k g_k \Big|^2
        \quad\text{where}\quad g_k \cdot d \ge 0 \;\forall k

    Where the mean conflicts with no task, it is the mean itself. A task with long gradients rules the
    mean, and so the step.

    Args:
        gramian: inner products of the task gradients.

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``, at least ``1 / K`` each, 0 for a zero gradient.

    Raises:
        ValueError: if the Gramian is not square.
        FloatingPointError: if it is not finite.

    Differs from the paper:
        there, one task is new and its gradient is projected; here the mean of all is.

    Example:
        >>> import torch
        >>> [round(w, 4) for w in dualproj(torch.tensor([[1.0, -2.0], [-2.0, 8.0]])).tolist()]
        [1.0, 0.5]

    References:
        Lopez-Paz & Ranzato (NeurIPS 2017), equation 11, https://arxiv.org/abs/1706.08840;
        Quinton & Rey (2024), section 4, https://arxiv.org/abs/2406.16232
    """
    own = Directions.of(gramian)
    mean = own.lengths / len(gramian)
    return own.weights(mean + least(own.cosines, (own.cosines @ mean)[None])[0], gramian)
