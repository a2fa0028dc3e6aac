"""The multiple-gradient descent algorithm.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ._cone import least
from ._gramian import Directions, array


def mgda(gramian: Tensor) -> Tensor:
    r"""Weigh tasks by the shortest gradient in their convex hull, which lowers all losses or is 0.

    .. math:: \min_{\alpha \ge 0,\; \sum_k \alpha_k = 1} \Big| \sum_k \alpha_k g_k \Big|^2

    Its inner product with every task's gradient is at least its own squared length. It is found
    exactly, as a quadratic program by pivoting. One zero gradient makes the shortest gradient 0: no step
    lowers all losses then, and none is made. The weights sum to 1 and not to K, so a step on the shared
    weights is up to K times shorter than that of the summed loss at the same rate.

    Args:
        gramian: inner products of the task gradients.

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``, at least 0, that sum to 1.

    Raises:
        ValueError: if the Gramian is not square.
        FloatingPointError: if it is not finite.

    Differs from the paper:
        exact instead of by Frank-Wolfe steps; over the shared weights (the paper's MGDA, not the
        upper bound MGDA-UB); gradients are not rescaled.

    Example:
        >>> import torch
        >>> mgda(torch.tensor([[1.0, 0.0], [0.0, 4.0]])).tolist()  # doctest: +ELLIPSIS
        [0.8..., 0.2...]

    References:
        Desideri (2012), https://doi.org/10.1016/j.crma.2012.03.014;
        Sener & Koltun (NeurIPS 2018), algorithm 2, https://arxiv.org/abs/1810.04650
    """
    g = array(gramian)
    zero = g.diagonal() <= 0
    if zero.any():
        return torch.from_numpy(zero / zero.sum()).to(gramian)
    own = Directions.of(gramian)
    inverse = own.lengths.min() / own.lengths
    alpha = least(own.cosines, -inverse[None])[0] * inverse  # each product with their sum is then 1, or more
    return torch.from_numpy(alpha / alpha.sum()).to(gramian)
