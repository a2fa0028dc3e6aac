"""Impartial gradients.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ._gramian import Directions

LEAST = 1e-2


def imtl_g(gramian: Tensor) -> Tensor:
    r"""Weigh tasks so that the step goes equally far along each task's gradient, however long that is.

    .. math:: \frac{g_k}{|g_k|} \cdot d = \frac{g_l}{|g_l|} \cdot d \;\; \forall k, l, \qquad
        d = \sum_k \alpha_k g_k, \quad \sum_k \alpha_k = 1

    The direction does not change when a loss is multiplied by a factor, and goes against no task; its
    length is that of the shorter gradients. A weight may be below 0. Where the gradients cancel, the step
    is near 0.

    Args:
        gramian: inner products of the task gradients.

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``, 0 for a zero gradient.

    Raises:
        ValueError: if the Gramian is not square.
        FloatingPointError: if it is not finite.

    Differs from the paper:
        solved for the weights at once by the Gramian, also where gradients depend on one another. Where
        the weights all but cancel, or sum to less than 0, in which case the paper's would turn
        the step around, they are scaled as if their sum were a hundredth of the sum of their sizes.

    Example:
        >>> import torch
        >>> imtl_g(torch.tensor([[1.0, 0.0], [0.0, 4.0]])).tolist()  # doctest: +ELLIPSIS
        [0.66..., 0.33...]

    References:
        Liu et al. (ICLR 2021), equation 6, https://openreview.net/forum?id=IMPnRXEWpvr
    """
    own = Directions.of(gramian)
    along = np.asarray(np.linalg.solve(own.cosines, np.ones_like(own.lengths)), np.float64)
    alpha = along / own.lengths
    total = max(alpha.sum(), LEAST * np.abs(alpha).sum())
    return own.weights(along / total if total > 0 else along, gramian)
