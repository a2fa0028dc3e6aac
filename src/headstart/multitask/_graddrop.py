"""Gradient sign dropout.

Shapes: ``K`` tasks, ``p`` weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..maths import generator
from ..models import Net
from ._backward import add, gradients, trained
from ._products import dense


class GradDrop(nn.Module):
    r"""Keep for every shared weight the task gradients of one sign, drawn by how they agree; a combine.

    .. math:: P = \tfrac12 \Big( 1 + \frac{\sum_k g_k}{\sum_k |g_k|} \Big), \qquad
        \text{grad} = \sum_k \big( l + (1 - l) [\, g_k > 0 \text{ and } P > U, \text{ or } g_k < 0
        \text{ and } P < U \,] \big)\, g_k

    with ``U`` uniform in [0, 1], one for each weight and step. Where all tasks agree nothing is dropped.
    It looks at each weight by itself, so no Gramian is enough: the gradients of all tasks are kept, and each
    task takes a backward pass. Heads get the plain sum. Its state is a count of steps.

    Args:
        seed: of the draws.
        leak: ``l``, how much of what is dropped comes through all the same, in [0, 1]; 1 is the plain sum.

    Shape:
        the combine takes ``losses``, scalars by name, and the net.

    Raises:
        ValueError: if ``leak`` is out of its range.
        FloatingPointError: if a loss is not finite; the message names it.

    Differs from the paper:
        on the gradients of the shared weights instead of those of a shared layer's outputs; one leak for all.

    Example:
        >>> net = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1), "b": nn.Linear(2, 1)})
        >>> x = torch.ones(3, 2)
        >>> GradDrop(seed=0)({"a": net(x, "a").mean(), "b": net(x, "b").mean()}, net)
        >>> net.backbone.weight.grad.shape
        torch.Size([2, 2])

    References:
        Chen et al. (NeurIPS 2020), algorithm 1, https://arxiv.org/abs/2010.06808
    """

    def __init__(self, seed: int = 0, *, leak: float = 0.0) -> None:
        super().__init__()
        if not 0 <= leak <= 1:
            raise wrong("`leak`", expected="in [0, 1]", found=leak)
        self.seed, self.leak = seed, leak
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.steps: Tensor

    def forward(self, losses: Mapping[str, Tensor], net: Net) -> None:
        """Fill ``.grad``."""
        values = list(trained(losses).values())
        shared = list(net.shared().values())
        if not values:
            return
        draws = generator(self.seed, "graddrop", int(self.steps))
        self.steps = self.steps + 1
        for p, column in zip(shared, gradients(shared, values), strict=True):
            uniform = torch.rand(p.shape, generator=draws).to(p)
            if rows := [dense(g) for g in column if g is not None]:
                add(p, self._kept(torch.stack(rows), uniform))

    def _kept(self, rows: Tensor, uniform: Tensor) -> Tensor:
        """Sum the gradients ``(K, *)`` that are kept."""
        purity = (1 + rows.sum(0) / rows.abs().sum(0).clamp_min(torch.finfo(rows.dtype).tiny)) / 2
        kept = torch.where(purity > uniform, rows > 0, rows < 0)
        return (rows * (self.leak + (1 - self.leak) * kept)).sum(0)
