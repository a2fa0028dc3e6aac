"""Be judged after every inner step, as MAML++ is at the beginning of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..errors import wrong
from ..models import Adapted, Net
from ..tasks import Episodes, Labelled
from ._over import OverEpisodes
from .folded import Folded, folded


class Stepwise(Protocol):
    """An adaptation that shows the net after each of its steps."""

    def path(self, net: Net, support: Labelled, /) -> Iterator[Adapted]:
        """Give the net after each step."""


@final
class MultiStep(OverEpisodes):
    r"""Lower the query loss after every inner step, and more and more that after the last.

    .. math:: \frac{1}{T} \sum_t \sum_{i=1}^{K} v_i\, L\bigl(\theta_t^{(i)}, Q_t\bigr)

    The weights :math:`v_i` are equal at first. Those of all steps but the last fall to 0 in a straight line,
    what they lose goes to the last, and from ``until`` on it is ``Episodic``. Training with many steps is
    steadier so. One of the parts of MAML++, see ``LSLR``.

    Args:
        adaptation: one with a ``path``: ``MAML``, ``BOIL``, ``MetaSGD`` or ``LSLR``.
        loss: from outputs ``(Q, O)`` and targets ``(Q, ...)`` to a scalar, the unit of ``"query"``.
        until: share of the run after which the last step alone counts, above 0 and at most 1.
        chunk: episodes that run side by side, at least 1; ``None`` for all.

    Shape:
        episodes ``x (T, S, *)`` and ``(T, Q, *)``; returns ``{"query": ()}``.

    Raises:
        TypeError: if the batch is not ``Episodes``.
        ValueError: if ``until`` or ``chunk`` is out of range.

    Example:
        >>> from headstart.meta import MAML
        >>> from headstart.tasks import Episodes
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> rows = Labelled(torch.randn(3, 6, 4), torch.tensor([0, 1, 0, 1, 0, 1]).expand(3, -1))
        >>> MultiStep(MAML("coins", lr=0.1))(net, Episodes(rows, rows, ways=2), 0.0)["query"].shape
        torch.Size([])

    References:
        Antoniou, Edwards & Storkey (ICLR 2019), equation 2, https://arxiv.org/abs/1810.09502
    """

    loss_name = "query"

    def __init__(
        self,
        adaptation: Stepwise,
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        until: float = 0.2,
        chunk: int | None = None,
    ) -> None:
        super().__init__(chunk)
        if not 0 < until <= 1:
            raise wrong("`until`", expected="above 0 and at most 1", found=until)
        self.adaptation, self.loss, self.until = adaptation, loss, until

    def episode(self, net: Net, support: Labelled, query: Labelled, progress: float) -> Tensor:
        """Return the weighed query losses of all steps."""
        if progress >= self.until:
            *_, last = self.adaptation.path(net, support)
            return self.loss(last(query.x), query.y)
        losses = torch.stack([self.loss(a(query.x), query.y) for a in self.adaptation.path(net, support)])
        return self._shares(losses, progress) @ losses

    def folded(self, net: Net, batch: Episodes, progress: float) -> Tensor | None:
        """Take the steps of all episodes at once, where the net is a chain of known layers."""

        def weighed(steps: Folded) -> Tensor:
            path = steps.path(batch.support)
            if progress >= self.until:
                *_, last = path
                return steps.losses(last, batch.query, self.loss)
            losses = torch.stack([steps.losses(own, batch.query, self.loss) for own in path])
            return self._shares(losses, progress) @ losses

        return folded(self.adaptation, net, weighed, self.leaves(net))

    def _shares(self, losses: Tensor, progress: float) -> Tensor:
        early = (1 - progress / self.until) / len(losses)
        shares = losses.new_full((len(losses),), early)
        shares[-1] = 1 - early * (len(losses) - 1)
        return shares
