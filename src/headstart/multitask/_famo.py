"""Fast adaptive multitask optimisation.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import wrong
from ._gls import not_negative
from ._weighted import PerTask


class FAMO(PerTask):
    r"""Weigh losses so that all of them fall at the same relative rate, at the cost of one backward.

    .. math:: c \sum_k z_k \log L_k, \qquad z = \text{softmax}(\xi), \qquad
        c = \Big( \sum_k z_k / L_k \Big)^{-1}

    and from one step to the next, with :math:`\delta_k = \log L_k(t) - \log L_k(t + 1)`,

    .. math:: \xi \leftarrow \xi - \beta \big( \nabla_\xi\, z(\xi) \cdot \delta + \gamma\, \xi \big)

    A task that fell less than the others gains weight. No gradient of a single task is taken.

    Args:
        names: the tasks, in the order of the losses, distinct.
        rate: :math:`\beta`, above 0.
        decay: :math:`\gamma`, at least 0, back to equal weights.

    Shape:
        losses ``(K,)``, at least 0, NaN for an absent task; returns a scalar.

    Raises:
        ValueError: if names are missing or not distinct, a number is out of its range, or a loss is below
            0.

    Differs from the paper:
        the losses after a step are those of the next batch, so that no second forward is made; plain steps
        of :math:`\xi` as in its algorithm, where its code takes those of Adam.

    Example:
        >>> weighing = FAMO(["a", "b"], rate=1.0)
        >>> round(weighing(torch.tensor([1.0, 1.0])).item(), 3)  # the value is that of the weighed losses
        1.0
        >>> _ = weighing(torch.tensor([0.1, 1.0]))  # a fell, and b did not
        >>> weighing.logits[1] > weighing.logits[0]
        tensor(True)

    References:
        Liu et al. (NeurIPS 2023), algorithm 1, https://arxiv.org/abs/2306.03792
    """

    def __init__(self, names: Sequence[str], *, rate: float = 0.025, decay: float = 1e-3) -> None:
        super().__init__(names)
        if not rate > 0:
            raise wrong("`rate`", expected="above 0", found=rate)
        if not decay >= 0:
            raise wrong("`decay`", expected="at least 0", found=decay)
        self.rate, self.decay = rate, decay
        self.register_buffer("logits", torch.zeros(len(self.names)))
        self.register_buffer("last", torch.full((len(self.names),), torch.nan))  # log losses
        self.logits: Tensor
        self.last: Tensor

    def forward(self, losses: Tensor) -> Tensor:
        """Return the weighed sum of the losses that are there, and move the weights."""
        there = self.checked(losses)
        raised = not_negative(losses[there], "FAMO").detach()
        logs = torch.full_like(self.logits, torch.nan)
        logs[there] = raised.log().to(logs)
        both = there & ~self.last.isnan()
        if both.any():
            z = self.logits[both].softmax(0)
            fall = (self.last - logs)[both]
            slope = z * (fall - z @ fall)  # of z . fall in the logits
            moved = self.logits * (1 - self.rate * self.decay)
            moved[both] -= self.rate * slope
            self.logits = moved
        self.last = torch.where(there, logs, self.last)
        z = self.logits[there].softmax(0).to(losses)
        weights = z / raised
        return (weights / weights.sum()) @ losses[there] if there.any() else losses.new_zeros(())
