"""Conflict-free inverse gradients.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ._gramian import Directions


def config(gramian: Tensor) -> Tensor:
    r"""Weigh tasks by the step that makes the same angle with every task's gradient, as long as they agree.

    With :math:`\hat g_k` of length 1, and :math:`\hat G` of these as rows,

    .. math:: d = \Big( \sum_k g_k \cdot \hat u \Big)\, \hat u, \qquad
        \hat u = \frac{u}{|u|}, \quad u = \hat G^{+}\, \mathbf 1

    The direction is that of ``imtl_g``, and goes against no task; the length is the sum of what the gradients
    have along it, so that it is long where they agree and near 0 where they cancel.

    Args:
        gramian: inner products of the task gradients.

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``, 0 for a zero gradient.

    Raises:
        ValueError: if the Gramian is not square.
        FloatingPointError: if it is not finite.

    Differs from the paper:
        by the Gramian instead of the pseudoinverse of all gradients.

    Example:
        >>> import torch
        >>> [round(w, 4) for w in config(torch.tensor([[1.0, 0.0], [0.0, 4.0]])).tolist()]
        [1.5, 0.75]

    References:
        Liu, Chu & Thuerey (ICLR 2025), equation 2, https://arxiv.org/abs/2408.11104
    """
    own = Directions.of(gramian)
    if not len(own.lengths):
        return torch.zeros_like(gramian[0])
    along = np.asarray(np.linalg.solve(own.cosines, np.ones_like(own.lengths)), np.float64)
    return own.weights(along * (own.lengths.sum() / along.sum()), gramian)
