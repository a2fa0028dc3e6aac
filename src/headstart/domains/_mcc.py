"""Few confusions between classes.

Shapes: ``B`` source rows, ``C`` target rows, ``K`` classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_weight, classes, guesses


def confusion(p: Tensor) -> Tensor:
    r"""Give the mean share of other classes in each row of the weighed class correlations of ``p (C, K)``.

    .. math:: M = \sum_i w_i \, p_i p_i^\top, \qquad w_i \propto 1 + e^{-H(p_i)}, \qquad
        \frac1K \sum_{k \ne l} \frac{M_{kl}}{\sum_m M_{km}}
    """
    sure = 1 + torch.special.entr(p.detach()).sum(1).neg().exp()
    together = (p * (len(p) * sure / sure.sum())[:, None]).T @ p
    shares = together / together.sum(1, keepdim=True)
    return 1 - shares.trace() / len(shares)


@dataclass(frozen=True, eq=False)
class MCC:
    r"""Learn labels on the source, and confuse no two classes on the target.

    The correlations of the class probabilities over the target's rows say how often two classes are both
    held possible. Each row of that matrix is to be one class's own:

    .. math:: \frac wK \sum_{k \ne l} \frac{M_{kl}}{\sum_m M_{km}}, \qquad M = \sum_i w_i \, p_i p_i^\top,
        \quad p = \operatorname{softmax}(z / T), \quad w_i \propto 1 + e^{-H(p_i)}

    It needs no critic and no pairs of rows. Nothing keeps a class from dying out, so a weight that is too
    large does harm.

    Args:
        task: a task of one class per row, whose head is trained.
        weight: :math:`w`, unit-less, at least 0.
        temperature: ``T``, above 0.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label`` (nats)
        and ``confusion``, in [0, ``weight``].

    Raises:
        ValueError: if an argument is out of its range, or the task is no classification.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"photos": torch.nn.Linear(8, 2)})
        >>> method = MCC(Task("photos", Multiclass(2), rows))
        >>> 0 < method(net, Shift(rows, rows.inputs()), 0.5)["confusion"].item() < 1
        True

    References:
        Jin et al. (ECCV 2020), equations 4 to 7, https://arxiv.org/abs/1912.03699
    """

    task: Task
    weight: float = 1.0
    temperature: float = 2.5

    def __post_init__(self) -> None:
        check_weight(self.weight)
        classes(self.task)
        if not 0 < self.temperature < math.inf:
            raise wrong("`temperature`", expected="above 0 and finite", found=self.temperature)

    def __call__(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the weighted confusion on the target."""
        name = self.task.name
        label = self.task.loss(net(batch.source.x, name), batch.source.y)
        p = guesses(self.task, net(batch.target.x, name) / self.temperature)
        return {"label": label, "confusion": self.weight * confusion(p)}
