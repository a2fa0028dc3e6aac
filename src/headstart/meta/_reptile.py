"""Reptile: move the start towards where the tasks' own steps end."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ..models import Net
from ..seams import Adaptation
from ..tasks import Labelled
from ..tasks.nouns import join
from ._over import OverEpisodes


@final
class Reptile(OverEpisodes):
    r"""Move the start towards the adapted weights of each episode, with no second derivative at all.

    .. math:: \tfrac12 \lVert \theta - \phi_t \rVert^2, \qquad \phi_t = A(\theta, S_t \cup Q_t)

    With :math:`\phi_t` held fixed, its gradient :math:`\theta - \phi_t` is Reptile's step. It learns from all
    rows of an episode; there is nothing to be judged on. With one step of plain descent it is training on all
    tasks at once, so take several. At test time the same adaptation is used. The unit of ``"reptile"`` is a
    squared distance of weights; ``SGD`` with the paper's step size from 0.1 to 1 takes its steps, ``Adam``
    works as well.

    Args:
        adaptation: from the net and rows to a net with weights moved, as ``MAML`` with several steps.
        chunk: episodes that run side by side, at least 1; ``None`` for all.

    Shape:
        episodes ``x (T, S, *)`` and ``(T, Q, *)``; returns ``{"reptile": ()}``.

    Raises:
        TypeError: if the batch is not ``Episodes``.
        ValueError: if ``chunk < 1``.

    Differs from the paper:
        steps are those of the adaptation, on all rows at once, rather than of Adam on parts of them.

    Example:
        >>> from headstart.meta import MAML
        >>> from headstart.tasks import Episodes
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> rows = Labelled(torch.randn(3, 6, 4), torch.tensor([0, 1, 0, 1, 0, 1]).expand(3, -1))
        >>> Reptile(MAML("coins", lr=0.1))(net, Episodes(rows, rows, ways=2), 0.0)["reptile"].shape
        torch.Size([])

    References:
        Nichol, Achiam & Schulman (2018), algorithm 2, https://arxiv.org/abs/1803.02999
    """

    loss_name = "reptile"

    def __init__(self, adaptation: Adaptation, *, chunk: int | None = None) -> None:
        super().__init__(chunk)
        self.adaptation = adaptation

    def episode(self, net: Net, support: Labelled, query: Labelled, progress: float) -> Tensor:
        """Return half the squared distance to the adapted weights."""
        rows = Labelled(join(support.x, query.x), torch.cat([support.y, query.y]))
        with torch.no_grad():
            end = self.adaptation(net, rows).weights
        start = dict(net.named_parameters())
        return torch.stack([(start[n] - end[n]).square().sum() for n in end if n in start]).sum() / 2
