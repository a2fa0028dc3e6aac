"""LaplacianShot: neighbours among the query rows tend to be of one class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ..errors import wrong
from ..maths import squared_distances, unit
from ..models import Net
from ..models.resting import resting
from ..tasks import Inputs, Labelled
from ._members import class_means, members
from ._ridge import check_positive
from ._tim import check_all_there


@final
@dataclass(frozen=True)
class LaplacianShot:
    r"""Label all query rows at once: near a class mean, and alike where rows are neighbours.

    With :math:`a_{qk}` the squared distance of a query to class mean :math:`k` and :math:`w_{qp} = 1` where
    :math:`p` is one of the nearest neighbours of :math:`q`, soft labels are updated from
    :math:`y_q = \mathrm{softmax}(-a_q)` on by

    .. math:: y_q \leftarrow \mathrm{softmax}\Bigl(-a_q + \lambda \sum_p w_{qp} y_p\Bigr)

    Features are centred and brought to length 1; queries are moved so that their middle is that of the
    support set, and then count in the class means by how near they are.

    Args:
        task: whose features, where a trunk knows tasks apart.
        pull: :math:`\lambda`, at least 0, which the paper chooses on held-out classes from 0.1 to 1.5.
        neighbours: of each query row, at least 1; fewer where there are not as many.
        steps: updates, at least 1.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``, queries ``(Q, *)``; returns logits ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
        ValueError: if a setting is out of range, or a class has no row.

    Differs from the paper:
        - features are centred by the rows of the episode rather than by those of the training classes;
        - a row counts in the mean of each class by its share there, rather than in that of its nearest class;
        - a row is not among its own neighbours, as it is in the authors' code: three there are two here;
        - the paper's bound, which an update never raises, asks that neighbours are mutual. As in the authors'
          code they need not be, and a fixed number of updates is taken.

    Example:
        >>> net = Net(torch.nn.Identity(), {"coins": torch.nn.Linear(2, 2)})
        >>> support = Labelled(torch.tensor([[3.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 1]))
        >>> queries = Inputs(torch.tensor([[2.0, 0.5], [2.0, 1.0], [0.0, 2.0], [0.5, 2.0]]))
        >>> LaplacianShot("coins", neighbours=1)(net, support, queries).argmax(1).tolist()
        [0, 0, 1, 1]

    References:
        Ziko et al. (ICML 2020), algorithm 1 and equation 12, https://arxiv.org/abs/2006.15486;
        Liu, Song & Qin (ECCV 2020), on queries in class means, https://arxiv.org/abs/1911.10713
    """

    task: str
    pull: float = 0.7
    neighbours: int = 3
    steps: int = 20
    transductive: ClassVar[Literal[True]] = True

    def __post_init__(self) -> None:
        check_positive(neighbours=self.neighbours, steps=self.steps)
        if not self.pull >= 0:
            raise wrong("`pull`", expected="at least 0", found=self.pull)

    @torch.no_grad()
    def __call__(self, net: Net, support: Labelled, query: Inputs) -> Tensor:
        """Return the logits of the query rows."""
        with resting(net):
            s, q = net.features(support.x, self.task), net.features(query.x, self.task)
        marks = members(support.y, s)
        check_all_there(marks)
        middle = torch.cat([s, q]).mean(0)
        s, q = unit(s - middle), unit(q - middle)
        q = q + s.mean(0) - q.mean(0)
        far = squared_distances(q, _rectified(s, q, marks))
        beside = _neighbours(q, self.neighbours)
        logits = -far
        for _ in range(self.steps):
            logits = -far + self.pull * beside @ logits.softmax(1)
        return logits


def _rectified(s: Tensor, q: Tensor, marks: Tensor) -> Tensor:
    """Average support and query rows of each class, all by how near they are to its support rows' mean."""
    rows, means = torch.cat([s, q]), class_means(s, marks)
    share = (10 * unit(rows) @ unit(means).T).softmax(1)
    return (share / share.sum(0)).T @ rows


def _neighbours(q: Tensor, count: int) -> Tensor:
    """Mark the nearest other rows of each row, ``(Q, Q)``."""
    far = squared_distances(q).fill_diagonal_(torch.inf)
    nearest = far.topk(min(count, len(q) - 1), largest=False).indices
    return torch.zeros_like(far).scatter_(1, nearest, 1.0)
