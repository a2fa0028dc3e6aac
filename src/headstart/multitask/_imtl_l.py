"""Impartial losses.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ._weighted import PerTask


class IMTL_L(PerTask):
    r"""Weigh losses so that all of them count alike, by factors that are learned along with the net.

    .. math:: \sum_k e^{s_k} L_k - s_k

    At the optimum :math:`e^{s_k} L_k = 1` for each task. It is ``Uncertainty`` without a noise model: one
    form for every kind of task. ``backward(imtl_g)`` does for gradients what this does for losses.

    Args:
        names: the tasks, in the order of the losses, distinct.

    Shape:
        losses ``(K,)``, NaN for an absent task; returns a scalar.

    Raises:
        ValueError: if names are missing or not distinct.

    Example:
        >>> IMTL_L(["a", "b"])(torch.tensor([4.0, 1.0])).item()
        5.0

    References:
        Liu et al. (ICLR 2021), equation 8, https://openreview.net/forum?id=IMPnRXEWpvr
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self.log_factor = nn.Parameter(torch.zeros(len(self.names)))  # (K,)

    def forward(self, losses: Tensor) -> Tensor:
        """Return the sum over the losses that are there."""
        there = self.checked(losses)
        s = self.log_factor[there]
        return (s.exp() * losses[there] - s).sum()
