"""Random loss weighting.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..maths import generator


class RLW(nn.Module):
    r"""Weigh the losses anew at random at every step: the plain mean, with noise.

    .. math:: w = \text{softmax}(z), \qquad z \sim N(0, I), \qquad \sum_k w_k L_k

    It is a baseline: a method that does no better has learned nothing about the tasks. Its state is a count
    of steps, so that training that is resumed draws what it would have drawn.

    Args:
        seed: of the draws.

    Shape:
        losses ``(K,)``; returns a scalar.

    Example:
        >>> round(RLW(seed=0)(torch.tensor([2.0, 2.0])).item(), 4)
        2.0

    References:
        Lin et al. (TMLR 2022), algorithm 1, https://arxiv.org/abs/2111.10603
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.steps: Tensor

    def forward(self, losses: Tensor) -> Tensor:
        """Return the weighed sum."""
        draws = torch.randn(len(losses), generator=generator(self.seed, "rlw", int(self.steps)))
        self.steps = self.steps + 1
        return draws.softmax(0).to(losses) @ losses
