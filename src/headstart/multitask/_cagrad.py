"""Conflict-averse gradient descent.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ..errors import wrong
from ._cone import least
from ._gramian import Array, Directions

EXACT, LIMIT = 1e-12, 100


def cagrad(gramian: Tensor, *, c: float = 0.5) -> Tensor:
    r"""Weigh tasks by the step near the mean gradient that serves the worst-off task best.

    .. math:: \max_d \min_k g_k \cdot d \quad\text{where}\quad |d - g_0| \le c\,|g_0|,
        \qquad g_0 = \tfrac1K \sum_k g_k

    With ``c = 0`` it is the mean gradient; towards 1 it comes near ``mgda``. It still goes down the mean
    loss, so that for ``c < 1`` it ends where the mean loss does.

    Args:
        gramian: inner products of the task gradients.
        c: how far from the mean it may go, in lengths of the mean, in [0, 1).

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``, at least ``1 / K`` each, 0 for a zero gradient.

    Raises:
        ValueError: if the Gramian is not square, or ``c`` is out of its range.
        FloatingPointError: if it is not finite.

    Differs from the paper:
        solved exactly, from the side of ``d``, instead of by a general solver over its dual; where the
        gradients cancel, and the paper divides by 0, it is the step nearest to the mean that goes against
        no task. The code of the paper also divides by ``1 + c``, or its square, which this does not.

    Example:
        >>> import torch
        >>> cagrad(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), c=0.5).tolist()
        [0.75, 0.75]

    References:
        Liu et al. (NeurIPS 2021), equation 3, https://arxiv.org/abs/2110.14048
    """
    if not 0 <= c < 1:
        raise wrong("`c`", expected="in [0, 1)", found=c)
    own = Directions.of(gramian)
    mean = own.lengths / len(gramian)
    if not mean.any():
        return own.weights(mean, gramian)
    size = own.lengths.max()  # all lengths are counted in the longest
    up = _worst_off(own.cosines, mean / size, size / own.lengths, c)
    return own.weights(mean + size * up, gramian)


def _worst_off(cosines: Array, mean: Array, inverse: Array, c: float) -> Array:
    r"""Find what is added to the mean: :math:`\mu \ge 0` of length ``c`` times that of the mean.

    For a level ``t`` that every :math:`g_k \cdot d` has to reach, the nearest ``d`` is a quadratic
    program; its distance from the mean is convex and increasing in ``t``, so Newton's steps from the
    right come down to the level whose distance is allowed, and never pass it.
    """
    slope = cosines @ mean  # (n,)
    radius = c * float(np.sqrt(np.maximum(mean @ slope, 0)))
    up = np.zeros_like(mean)
    if radius == 0:
        return up
    level = float(((slope + radius) / inverse).min())
    for _ in range(LIMIT):
        up = least(cosines, (slope - level * inverse)[None])[0]
        far = float(np.sqrt(up @ cosines @ up))
        if far <= radius * (1 + EXACT):
            break
        level -= (far - radius) * far / (up @ inverse)
    return up
