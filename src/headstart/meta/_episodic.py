"""Meta-training: adapt on the support set, be judged on the query set."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import Tensor
from torch.nn.functional import cross_entropy

from ..models import Net
from ..seams import Adaptation
from ..tasks import Labelled
from ._over import OverEpisodes


@final
class Episodic(OverEpisodes):
    r"""Lower the query loss after adaptation, averaged over episodes.

    An adaptation :math:`A` is written for one episode; here it meets all episodes of a step at once:

    .. math:: \frac{1}{T} \sum_{t=1}^{T} L\bigl(A(\theta, S_t),\, Q_t\bigr)

    The episodes run side by side under ``torch.func.vmap``, with gradients equal to those of the
    loop over episodes to rounding; ``vmap`` alone is wrong for affine norms, see ``_vectorise.py``.
    Where a network cannot be vectorised (recurrent layers, control flow that depends on data), the
    loop is used and a warning says why.

    Args:
        adaptation: from the net and a support set to an adapted net, ``MAML``, ``ProtoNet`` or one's
            own; a Module's weights are trained too.
        loss: from outputs ``(Q, O)`` and targets ``(Q, ...)`` to a scalar, the unit of ``"query"``.
        chunk: episodes that run side by side, at least 1; ``None`` for all. The gradient of a chunk is
            taken in the forward pass, so memory is that of one chunk.

    Shape:
        episodes ``x (T, S, *)`` and ``(T, Q, *)``; returns ``{"query": ()}``.

    Raises:
        TypeError: if the batch is not ``Episodes``.
        ValueError: if ``chunk < 1``.

    Example:
        >>> import torch
        >>> from headstart.meta import ProtoNet
        >>> from headstart.tasks import Episodes
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> rows = Labelled(torch.randn(3, 6, 4), torch.tensor([0, 1, 0, 1, 0, 1]).expand(3, -1))
        >>> Episodic(ProtoNet("coins"))(net, Episodes(rows, rows, ways=2), 0.0)["query"].shape
        torch.Size([])

    References:
        Vinyals et al. (NeurIPS 2016), equation 2, https://arxiv.org/abs/1606.04080
    """

    loss_name = "query"

    def __init__(
        self,
        adaptation: Adaptation,
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        chunk: int | None = None,
    ) -> None:
        super().__init__(chunk)
        self.adaptation, self.loss = adaptation, loss

    def episode(self, net: Net, support: Labelled, query: Labelled, progress: float) -> Tensor:
        """Return the query loss after adaptation."""
        return self.loss(self.adaptation(net, support)(query.x), query.y)
