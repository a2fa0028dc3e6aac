"""Weights from the noise of each task.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from ..errors import unknown
from ._weighted import PerTask


class Uncertainty(PerTask):
    r"""Weigh each loss by the noise of its task, which is learned along with the net.

    A task whose labels are noisy has a large loss that cannot be lowered; its learned variance
    :math:`\sigma_k^2` takes its weight down, and the logarithm keeps the variance from running away.

    .. math:: \sum_k \frac{c_k}{\sigma_k^2} L_k + \log \sigma_k, \qquad
        c_k = \tfrac12 \text{ for squared errors}, \; 1 \text{ for cross-entropies}

    At the optimum :math:`\sigma_k^2 = 2 c_k L_k`. The sum may be negative. Use it as
    ``combine=weighted(Uncertainty(names))``; its log variances train along with the net. An absent
    task (NaN) adds nothing, and its variance stays.

    Args:
        names: the tasks, in the order of the losses, distinct.
        regression: those of them whose loss is a squared error.

    Shape:
        losses ``(K,)``, NaN for an absent task; returns a scalar.

    Raises:
        ValueError: if names are missing or not distinct.
        KeyError: if a name in ``regression`` is not one of ``names``.

    Differs from the paper:
        :math:`\log \sigma^2` starts at 0 for every task; the cross-entropy is divided by
        :math:`\sigma^2`, the paper's approximation of a softmax with logits over :math:`\sigma^2`.

    Example:
        >>> weighing = Uncertainty(["depth", "labels"], regression=["depth"])
        >>> weighing(torch.tensor([4.0, 1.0])).item()
        3.0

    References:
        Kendall, Gal & Cipolla (CVPR 2018), equations 7 and 10, https://arxiv.org/abs/1705.07115
    """

    def __init__(self, names: Sequence[str], *, regression: Collection[str] = ()) -> None:
        super().__init__(names)
        for name in regression:
            if name not in self.names:
                raise unknown("task in `regression`", name, self.names, error=KeyError)
        self.log_variance = nn.Parameter(torch.zeros(len(self.names)))  # (K,)
        self.register_buffer("factor", torch.tensor([0.5 if n in regression else 1.0 for n in self.names]))
        self.factor: Tensor

    def forward(self, losses: Tensor) -> Tensor:
        """Return the weighed sum of the losses that are there."""
        there = self.checked(losses)
        s = self.log_variance[there]
        return (self.factor[there] * torch.exp(-s) * losses[there] + s / 2).sum()
