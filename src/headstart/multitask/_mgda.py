"""The multiple-gradient descent algorithm.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._gramian import array

EXACT, ROUNDING = 1e-12, 1e-15


def mgda(gramian: Tensor) -> Tensor:
    r"""Weigh tasks by the shortest gradient in their convex hull, which lowers all losses or is 0.

    .. math:: \min_{\alpha \ge 0,\; \sum_k \alpha_k = 1} \Big| \sum_k \alpha_k g_k \Big|^2

    Its inner product with every task's gradient is at least its own squared length. It is found
    exactly, by Wolfe's active-set method. One zero gradient makes the shortest gradient 0: no step
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
        >>> mgda(torch.tensor([[1.0, 0.0], [0.0, 4.0]])).tolist()  # doctest: +ELLIPSIS
        [0.8..., 0.2...]

    References:
        Desideri (2012), https://doi.org/10.1016/j.crma.2012.03.014;
        Sener & Koltun (NeurIPS 2018), algorithm 2, https://arxiv.org/abs/1810.04650;
        Wolfe (Mathematical Programming 1976), Finding the nearest point in a polytope,
        https://doi.org/10.1007/BF01580381
    """
    g = array(gramian)
    scale = g.diagonal().max()
    alpha = _shortest(g / scale) if scale > 0 else np.full(len(g), 1 / len(g))
    return torch.from_numpy(alpha).to(gramian)


def _shortest(g: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Find the weights of the point of least norm in the hull of points with Gramian ``g``."""
    alpha = np.zeros(len(g))
    support = [int(g.diagonal().argmin())]
    alpha[support] = 1
    best, least, met = alpha, np.inf, set[frozenset[int]]()
    while frozenset(support) not in met:  # no support comes again in exact arithmetic
        met.add(frozenset(support))
        slope = g @ alpha
        value = float(alpha @ slope)
        if value < least:
            best, least = alpha.copy(), value
        new = int(slope.argmin())
        if new in support or slope[new] >= value * (1 - EXACT) - ROUNDING:
            break
        support.append(new)
        while True:
            goal = _affine(g[np.ix_(support, support)])
            here = alpha[support]
            if (goal > 0).all():
                alpha[support] = goal
                break
            # Go towards the goal until the first weight is used up, and drop it.
            down = goal <= 0
            steps = np.where(down, here / np.where(down, here - goal, 1), np.inf)
            here = here + steps.min() * (goal - here)
            here[steps.argmin()] = 0
            alpha[support] = np.maximum(here, 0)
            support = [k for k in support if alpha[k] > 0]
    return best / best.sum()


def _affine(g: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Find the weights, of either sign, of the point of least norm in the affine hull."""
    count = len(g)
    system = np.ones((count + 1, count + 1))
    system[:count, :count], system[count, count] = g, 0
    return np.linalg.lstsq(system, np.eye(count + 1)[count], rcond=None)[0][:count]
