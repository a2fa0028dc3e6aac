"""Each task's gradient, brought out of conflict.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from torch import Tensor

from ._cone import least
from ._gramian import Directions


def upgrad(gramian: Tensor) -> Tensor:
    r"""Weigh tasks by the mean of their gradients, each brought to the nearest that goes against no task.

    With :math:`\pi` the projection onto the directions that no task conflicts with,

    .. math:: d = \frac1K \sum_k \pi(g_k), \qquad \pi(g) = \arg\min_d |d - g|^2
        \;\text{where}\; g_l \cdot d \ge 0 \;\forall l

    It never conflicts, as ``mgda``, and is linear in the lengths of the gradients, as ``pcgrad``: a task
    with small gradients moves the step little. Where none conflict, it is the mean gradient.

    Args:
        gramian: inner products of the task gradients.

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``, at least ``1 / K`` each, 0 for a zero gradient.

    Raises:
        ValueError: if the Gramian is not square.
        FloatingPointError: if it is not finite.

    Example:
        >>> import torch
        >>> [round(w, 4) for w in upgrad(torch.tensor([[1.0, -1.0], [-1.0, 4.0]])).tolist()]
        [1.0, 0.625]

    References:
        Quinton & Rey (2024), section 3, https://arxiv.org/abs/2406.16232
    """
    own = Directions.of(gramian)
    up = least(own.cosines, own.cosines)  # (n, n): what is added to each direction
    up.flat[:: len(up) + 1] += 1
    return own.weights(own.lengths / len(gramian) @ up, gramian)
