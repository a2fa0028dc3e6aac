"""Weights by hand, and the geometric mean.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import wrong


@dataclass(frozen=True)
class Weights:
    r"""Weigh each loss by a number given beforehand.

    .. math:: \sum_k w_k L_k

    Equal weights are the plain sum, which ``fit`` lowers without any ``combine``; tuned, with ordinary
    regularisation, it is what every other weighing has to beat.

    Args:
        by_task: the weight of each task, at least 0 and finite, one above 0.

    Shape:
        losses ``(K,)``, in the order of ``by_task``, NaN for an absent task; returns a scalar.

    Raises:
        ValueError: if there is no weight, one is negative or not finite, or all are 0.

    Example:
        >>> import torch
        >>> Weights({"depth": 0.5, "labels": 1.0})(torch.tensor([4.0, 1.0])).item()
        3.0

    References:
        Kurin et al. (NeurIPS 2022), In defense of the unitary scalarization, https://arxiv.org/abs/2201.04122
    """

    by_task: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_task", dict(self.by_task))
        for name, weight in self.by_task.items():
            if not 0 <= weight < math.inf:
                raise wrong(f'weight of "{name}"', expected="at least 0 and finite", found=weight)
        if not any(self.by_task.values()):
            raise wrong("`by_task`", expected="weights, at least one above 0", found=self.by_task)

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks, in order."""
        return tuple(self.by_task)

    def __call__(self, losses: Tensor) -> Tensor:
        """Return the weighed sum of the losses that are there."""
        if losses.shape != (len(self.by_task),):
            raise wrong("`losses`", expected=f"({len(self.by_task)},)", found=tuple(losses.shape))
        there = ~losses.isnan()
        return (losses.new_tensor(list(self.by_task.values()))[there] * losses[there]).sum()
