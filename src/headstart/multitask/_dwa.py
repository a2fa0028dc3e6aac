"""Dynamic weight average.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import wrong
from ._weighted import PerTask


class DWA(PerTask):
    r"""Weigh losses by how slowly they have fallen of late.

    With :math:`\bar L_k` the mean of loss ``k`` over the last whole window and :math:`\bar L'_k` over the one
    before,

    .. math:: \sum_k \lambda_k L_k, \qquad \lambda = K\, \text{softmax}(r / T),
        \qquad r_k = \bar L_k / \bar L'_k

    Until there are two windows all weights are 1. A factor on a loss changes no weight, but the sum.

    Args:
        names: the tasks, in the order of the losses, distinct.
        every: steps in a window, at least 1; an epoch in the paper.
        temperature: :math:`T`, above 0; the larger, the more alike.

    Shape:
        losses ``(K,)``, NaN for an absent task; returns a scalar.

    Raises:
        ValueError: if names are missing or not distinct, or a number is out of its range.

    Differs from the paper:
        windows of steps instead of epochs, which a task with few rows would not share with the others.

    Example:
        >>> weighing = DWA(["a", "b"], every=1)
        >>> _ = weighing(torch.tensor([2.0, 2.0])), weighing(torch.tensor([1.0, 2.0]))
        >>> round(weighing(torch.tensor([0.0, 1.0])).item(), 3)  # b has not fallen
        1.124

    References:
        Liu, Johns & Davison (CVPR 2019), equation 7, https://arxiv.org/abs/1803.10704
    """

    def __init__(self, names: Sequence[str], *, every: int = 100, temperature: float = 2.0) -> None:
        super().__init__(names)
        if every < 1:
            raise wrong("`every`", expected="at least 1 step", found=every)
        if not temperature > 0:
            raise wrong("`temperature`", expected="above 0", found=temperature)
        self.every, self.temperature = every, temperature
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("sums", torch.zeros(2, len(self.names)))  # of the losses, and how many they are
        self.register_buffer("means", torch.full((2, len(self.names)), torch.nan))  # older and newer
        self.steps: Tensor
        self.sums: Tensor
        self.means: Tensor

    def forward(self, losses: Tensor) -> Tensor:
        """Return the weighed sum of the losses that are there, and count them in."""
        there = self.checked(losses)
        ratios = (self.means[1] / self.means[0]).nan_to_num(1.0, posinf=1.0)
        weights = len(self.names) * (ratios / self.temperature).softmax(0).to(losses)
        self._count(losses.detach(), there)
        return (weights[there] * losses[there]).sum()

    def _count(self, losses: Tensor, there: Tensor) -> None:
        self.sums = self.sums + torch.stack([losses.nan_to_num(0.0), there.to(losses)]).to(self.sums)
        self.steps = self.steps + 1
        if int(self.steps) % self.every == 0:
            newest = self.sums[0] / self.sums[1]  # NaN for a task that was absent throughout
            self.means = torch.stack([self.means[1], torch.where(newest.isnan(), self.means[1], newest)])
            self.sums = torch.zeros_like(self.sums)
