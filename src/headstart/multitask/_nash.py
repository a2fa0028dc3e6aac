"""The bargain of the tasks.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ._fairness import fair
from ._gramian import Directions


def nash(gramian: Tensor) -> Tensor:
    r"""Weigh tasks by the step on which they would agree: the product of their gains is greatest.

    .. math:: G \alpha = 1 / \alpha, \quad \alpha > 0 \qquad\text{which maximises}\quad
        \sum_k \log (g_k \cdot d) \;\text{over}\; |d|^2 \le K

    It goes against no task, and a factor on a loss changes nothing: the step is the same. Its length is
    :math:`\sqrt K` whatever that of the gradients, until they cancel: then it is near 0. So the step of
    plain gradient descent does not shrink near an optimum; lower the rate, or clip the gradient.

    Args:
        gramian: inner products of the task gradients.

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``, above 0, and 0 for a zero gradient.

    Raises:
        ValueError: if the Gramian is not square.
        FloatingPointError: if it is not finite.

    Differs from the paper:
        solved to rounding by Newton's steps, in which no start has to be kept, instead of a sequence of
        convex programs. The code of the paper clips the step to the length 1.

    Example:
        >>> import torch
        >>> nash(torch.tensor([[1.0, 0.0], [0.0, 4.0]])).tolist()  # doctest: +ELLIPSIS
        [0.999..., 0.499...]

    References:
        Navon et al. (ICML 2022), claim 3.1 and algorithm 1, https://arxiv.org/abs/2202.01017
    """
    own = Directions.of(gramian)
    return own.weights(fair(own.cosines, np.ones_like(own.lengths), 1.0), gramian)
