"""Smooth Tchebycheff scalarisation.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import wrong


@dataclass(frozen=True)
class STCH:
    r"""Lower a smooth maximum of the losses, so that the worst task comes first.

    .. math:: \mu \log \sum_k \exp(L_k / \mu)

    With ``mu`` near 0 it is the largest loss; for large ``mu`` its gradient is that of the mean. Losses are
    compared with one another, so bring them to one unit first.

    Args:
        mu: :math:`\mu`, in the unit of the losses, above 0.

    Shape:
        losses ``(K,)``; returns a scalar.

    Raises:
        ValueError: if ``mu`` is out of its range.

    Differs from the paper:
        the preferences are 1 for each task, and the ideal point is 0.

    Example:
        >>> round(STCH(mu=0.1)(torch.tensor([4.0, 1.0])).item(), 4)
        4.0

    References:
        Lin et al. (ICML 2024), equation 10, https://arxiv.org/abs/2402.19078
    """

    mu: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.mu < math.inf:
            raise wrong("`mu`", expected="above 0 and finite", found=self.mu)

    def __call__(self, losses: Tensor) -> Tensor:
        """Return the smooth maximum."""
        return self.mu * torch.logsumexp(losses / self.mu, 0)
