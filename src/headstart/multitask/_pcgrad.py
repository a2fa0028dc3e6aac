"""Gradient surgery.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ._gramian import array


def pcgrad(gramian: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    r"""Weigh tasks so that none is pushed against another's gradient where they conflict.

    Each gradient, in turn, loses its part along every other gradient that it conflicts with:

    .. math:: g_i \leftarrow g_i - \frac{g_i \cdot g_j}{|g_j|^2} g_j
        \quad\text{where}\quad g_i \cdot g_j < 0, \qquad \text{grad} = \sum_i g_i

    Only inner products are needed, so the weights follow from the Gramian alone. A zero gradient
    conflicts with none. Where none conflict, all weights are 1: the gradient of the summed loss.

    Args:
        gramian: inner products of the task gradients.
        generator: gives the order in which the others are met, anew for each task and step.

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``, at least 1 each.

    Raises:
        ValueError: if the Gramian is not square.
        FloatingPointError: if it is not finite.

    Differs from the paper:
        without a generator the others are met in the order 0 to K - 1, which needs no state to
        resume; the order matters from three tasks on. For the random order of the paper, pass
        ``functools.partial(pcgrad, generator=g)``.

    Example:
        >>> pcgrad(torch.tensor([[1.0, -1.0], [-1.0, 4.0]])).tolist()
        [2.0, 1.25]

    References:
        Yu et al. (NeurIPS 2020), algorithm 1, https://arxiv.org/abs/2001.06782
    """
    g = array(gramian)
    count = len(g)
    weights = np.zeros(count)
    for i in range(count):
        own = np.zeros(count)
        own[i] = 1
        order = list(range(count))
        if generator is not None:
            order = torch.randperm(count, generator=generator, device=generator.device).tolist()
        for j in order:
            if j != i and g[j, j] > 0 and (dot := g[j] @ own) < 0:
                own[j] -= dot / g[j, j]
        weights += own
    return torch.from_numpy(weights).to(gramian)
