"""Adaptation without the source: sure and varied answers, and those of the nearest centre.

Shapes: ``C`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import wrong
from ..maths import unit
from ..models import Net
from ..tasks import Shift, Task
from ._sides import TINY, as_it_is, check_weight, classes, guesses


def centres(probabilities: Tensor, features: Tensor) -> Tensor:
    r"""Give the centre of each class among rows without labels: weighed by answers, then by nearest rows.

    .. math:: c_k = \frac{\sum_i p_{ik} f_i}{\sum_i p_{ik}}, \qquad
        c'_k = \frac{\sum_i [\hat y_i = k] f_i}{\sum_i [\hat y_i = k]}

    with :math:`\hat y_i` the class whose :math:`c_k` is nearest by angle. A class that no row is nearest to
    keeps its first centre.

    Args:
        probabilities: of the rows.
        features: of the same rows.

    Shape:
        ``probabilities (C, K)``, ``features (C, D)``; returns ``(K, D)``.

    Example:
        >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> centres(p, torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        tensor([[1., 0.],
                [0., 1.]])

    References:
        Liang, Hu & Feng (ICML 2020), equations 4 to 6, https://arxiv.org/abs/2002.08546
    """
    first = _weighed(probabilities, features)
    member = F.one_hot(nearest(features, first), probabilities.shape[1]).to(features)
    return torch.where((member.sum(0) > 0)[:, None], _weighed(member, features), first)


def nearest(features: Tensor, centres: Tensor) -> Tensor:
    """Name for each row the centre at the smallest angle, ``(C,)``."""
    return (unit(features) @ unit(centres).T).argmax(1)


def _weighed(weights: Tensor, features: Tensor) -> Tensor:
    return weights.T @ features / weights.sum(0).clamp(min=TINY)[:, None]


@dataclass(frozen=True, eq=False)
class SHOT:
    r"""Adapt a net that has learned the source to the target's rows, without a row of the source.

    Answers are to be sure of each row and varied over all; rows are to be of the class whose centre among the
    target's rows is nearest. The head stays, so features come to where the source's classes were.

    .. math:: \overline{H(p)} - H(\bar p) + \beta\, \overline{-\ln p_{i \hat y_i}}

    Args:
        task: a task of one class per row, whose head answers; no loss here moves it.
        centres: of the classes, as ``centres`` finds them, anew every so many steps; ``None`` leaves the last
            term out.
        weight: :math:`\beta`, at least 0.

    Shape:
        target rows ``(C, *)``; the source's are not read. Returns scalars ``sure``, ``varied`` and, with
        centres, ``pseudo``, in nats.

    Raises:
        ValueError: if an argument is out of its range, or the task is no classification.

    Differs from the paper:
        the shares of the classes are those of a batch.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"photos": torch.nn.Linear(8, 2)})
        >>> method = SHOT(Task("photos", Multiclass(2), rows))
        >>> sorted(method(net, Shift(rows, rows.inputs()), 0.5))
        ['sure', 'varied']

    References:
        Liang, Hu & Feng (ICML 2020), equation 7, https://arxiv.org/abs/2002.08546
    """

    task: Task
    centres: Tensor | None = None
    weight: float = 0.3

    def __post_init__(self) -> None:
        check_weight(self.weight)
        many = classes(self.task)
        if self.centres is not None and (self.centres.ndim != 2 or len(self.centres) != many):
            raise wrong(
                "`centres`", expected=f"a row for each of {many} classes", found=tuple(self.centres.shape)
            )

    def __call__(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return how unsure answers are, minus how varied, and the loss of the nearest centre's class."""
        z = net.features(batch.target.x, self.task.name)
        p = guesses(self.task, as_it_is(net.head(self.task.name), z))
        losses = {
            "sure": torch.special.entr(p).sum(1).mean(),
            "varied": -torch.special.entr(p.mean(0)).sum(),
        }
        if self.centres is not None:
            right = p.gather(1, nearest(z.detach(), self.centres.to(z))[:, None])
            losses["pseudo"] = -self.weight * right.clamp(min=TINY).log().mean()
        return losses
