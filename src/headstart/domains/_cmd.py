"""Matching of the central moments of features.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_weight, sides

LEAST = 1.0  # else features that shrink are pushed together ever harder


def moment_gap(a: Tensor, b: Tensor, moments: int, span: float | Tensor) -> Tensor:
    r"""Sum the distances of the means and of the central moments from the second on, ``()``.

    .. math:: \frac{\lVert E a - E b \rVert}{r} + \sum_{k=2}^{K} \frac{\lVert c_k(a) - c_k(b) \rVert}{r^k},
        \qquad c_k(x) = E (x - E x)^k
    """
    one, other = a.mean(0), b.mean(0)
    gap = torch.linalg.vector_norm(one - other) / span
    a, b = (a - one) / span, (b - other) / span
    power, second = a, b
    for _ in range(moments - 1):
        power, second = power * a, second * b
        gap = gap + torch.linalg.vector_norm(power.mean(0) - second.mean(0))
    return gap


@dataclass(frozen=True, eq=False)
class CMD:
    r"""Learn labels on the source, with features whose central moments agree on source and target.

    .. math:: w \left( \frac{\lVert E s - E t \rVert}{r}
        + \sum_{k=2}^{K} \frac{\lVert c_k(s) - c_k(t) \rVert}{r^k} \right)

    with :math:`c_k` the ``k``-th central moment of each feature, and :math:`r` the length of the interval
    that features are in. It costs one pass over the features for each moment, and no pairs of rows.
    Source and target pass through the backbone one after the other.

    Args:
        task: the task whose head is trained.
        weight: :math:`w`, unit-less, at least 0.
        moments: :math:`K`, at least 1.
        span: :math:`r`, above 0: 1 behind a sigmoid, 2 behind a hyperbolic tangent. ``None`` takes the
            largest less the smallest feature of each batch, detached, and at least 1.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label``
        (unit of the task's kind) and ``cmd``.

    Raises:
        ValueError: if an argument is out of its range.

    Differs from the paper:
        features need not be bounded: the interval is measured where it is not said.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"photos": torch.nn.Linear(8, 2)})
        >>> method = CMD(Task("photos", Multiclass(2), rows))
        >>> method(net, Shift(rows, rows.inputs()), 0.5)["cmd"].item()
        0.0

    References:
        Zellinger et al. (ICLR 2017), definition 2, https://arxiv.org/abs/1702.08811
    """

    task: Task
    weight: float = 1.0
    moments: int = 5
    span: float | None = None

    def __post_init__(self) -> None:
        check_weight(self.weight)
        if self.moments < 1:
            raise wrong("`moments`", expected="at least 1", found=self.moments)
        if self.span is not None and not 0 < self.span < math.inf:
            raise wrong("`span`", expected="above 0 and finite", found=self.span)

    def __call__(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the weighted distance of the moments."""
        source, target = sides(net, batch, self.task)
        label = self.task.loss(net.answer(source, self.task.name), batch.source.y)
        span: float | Tensor | None = self.span
        if span is None:
            low, high = torch.cat([source.detach().flatten(), target.detach().flatten()]).aminmax()
            span = (high - low).clamp(min=LEAST)
        gap = moment_gap(source.flatten(1), target.flatten(1), self.moments, span)
        return {"label": label, "cmd": self.weight * gap}
