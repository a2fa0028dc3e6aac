"""Independent component alignment.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ._gramian import array


def aligned(gramian: Tensor) -> Tensor:
    r"""Weigh tasks so that their gradients become orthogonal and equally long, as little changed as can be.

    With :math:`G = V \Lambda V^T` and :math:`\lambda_r` the least eigenvalue above rounding,

    .. math:: w = \sqrt{\lambda_r}\; V \Lambda^{-1/2} V^T \tfrac1K \mathbf 1

    That system of gradients has the condition number 1: no direction of it rules the step. The step has
    the length that the weakest component allows. A weight may be below 0.

    Args:
        gramian: inner products of the task gradients.

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``.

    Raises:
        ValueError: if the Gramian is not square.
        FloatingPointError: if it is not finite.

    Differs from the paper:
        the tasks' importance is ``1 / K`` each.

    Example:
        >>> import torch
        >>> aligned(torch.tensor([[1.0, 0.0], [0.0, 4.0]])).tolist()
        [0.5, 0.25]

    References:
        Senushkin et al. (CVPR 2023), algorithm 1, https://arxiv.org/abs/2305.19000
    """
    values, vectors = np.linalg.eigh(array(gramian))
    count = len(values)
    kept = values > max(values[-1], 0) * count * torch.finfo(gramian.dtype).eps
    if not kept.any():
        return gramian.new_zeros(count)
    values, vectors = values[kept], vectors[:, kept]
    weights = np.sqrt(values[0]) * (vectors / np.sqrt(values)) @ vectors.sum(0) / count
    return torch.from_numpy(weights).to(gramian)
