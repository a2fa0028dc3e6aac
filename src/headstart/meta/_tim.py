"""TIM: label all query rows of an episode at once, surely and evenly."""

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


@final
@dataclass(frozen=True)
class TIM:
    r"""Move class means so that queries are labelled surely, and all together evenly.

    With :math:`p_{ik} \propto \exp(-\tfrac{\tau}{2} \lVert f_i - w_k \rVert^2)` on features of length 1, the
    class means :math:`w` lower

    .. math:: \lambda\, \mathrm{CE}(S) + \sum_k \hat p_k \log \hat p_k
        - \frac{\alpha}{|Q|} \sum_{i \in Q} \sum_k p_{ik} \log p_{ik}

    where :math:`\hat p` is the mean of the queries' :math:`p`. It does so by closed forms in turn, for soft
    labels and for the means. The second term expects about as many queries of each class: where one is rare,
    lower ``even``. The settings are those of the authors' code, which takes whole steps as here.

    Args:
        task: whose features, where a trunk knows tasks apart.
        support_weight: :math:`\lambda`, above 0.
        sure: :math:`\alpha`, above 0.
        even: what the second term counts, at least 0.
        temperature: :math:`\tau`, above 0.
        steps: turns, at least 1.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``, queries ``(Q, *)``; returns logits ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
        ValueError: if a setting is out of range, or a class has no row.

    Example:
        >>> net = Net(torch.nn.Identity(), {"coins": torch.nn.Linear(2, 2)})
        >>> support = Labelled(torch.tensor([[3.0, 0.1], [0.0, 2.0]]), torch.tensor([0, 1]))
        >>> queries = Inputs(torch.tensor([[2.0, 1.0], [2.0, 0.9], [0.1, 1.0], [1.0, 1.1]]))
        >>> TIM("coins")(net, support, queries).argmax(1).tolist()
        [0, 0, 1, 1]

    References:
        Boudiaf et al. (NeurIPS 2020), equation 2 and proposition 1 (TIM-ADM),
        https://arxiv.org/abs/2008.11297
    """

    task: str
    support_weight: float = 0.1
    sure: float = 0.1
    even: float = 1.0
    temperature: float = 15.0
    steps: int = 150
    transductive: ClassVar[Literal[True]] = True

    def __post_init__(self) -> None:
        check_positive(
            support_weight=self.support_weight, sure=self.sure, temperature=self.temperature, steps=self.steps
        )
        if not self.even >= 0:
            raise wrong("`even`", expected="at least 0", found=self.even)

    @torch.no_grad()
    def __call__(self, net: Net, support: Labelled, query: Inputs) -> Tensor:
        """Return the logits of the query rows."""
        with resting(net):
            s, q = (unit(net.features(x, self.task)) for x in (support.x, query.x))
        y = members(support.y, s)
        check_all_there(y)
        w = class_means(s, y)
        support_share, query_share = self.support_weight / (1 + self.sure), len(s) / len(q)
        for _ in range(self.steps):
            p_s, p_q = self._logits(s, w).softmax(1), self._logits(q, w).softmax(1)
            soft = self._even(p_q)
            above = support_share * _pulled(s, y, p_s, w) + query_share * _pulled(q, soft, p_q, w)
            w = above / (support_share * y.sum(0) + query_share * soft.sum(0))[:, None]
        return self._logits(q, w)

    def _logits(self, f: Tensor, w: Tensor) -> Tensor:
        return -self.temperature / 2 * squared_distances(f, w)

    def _even(self, p: Tensor) -> Tensor:
        """Return the soft labels of the queries."""
        power = p ** (1 + self.sure)
        soft = power / power.sum(0).clamp(min=torch.finfo(p.dtype).tiny) ** (self.even / (1 + self.even))
        return soft / soft.sum(1, keepdim=True)


def _pulled(f: Tensor, labels: Tensor, p: Tensor, w: Tensor) -> Tensor:
    """Sum features by their labels, and the difference that each mean's own share makes."""
    return labels.T @ f + p.sum(0)[:, None] * w - p.T @ f


def check_all_there(marks: Tensor) -> None:
    """Raise ``ValueError`` where a class has no support row."""
    missing = (marks.sum(0) == 0).nonzero().flatten().tolist()
    if missing:
        raise wrong("`y` of the support", expected="a row of each class", found=f"none of class {missing[0]}")
