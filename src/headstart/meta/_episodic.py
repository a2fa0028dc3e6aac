"""Meta-training: adapt on the support set, be judged on the query set."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import Tensor
from torch.nn.functional import cross_entropy

from ..models import Net
from ..seams import Adaptation
from ..tasks import Episodes, Labelled
from ._over import OverEpisodes
from .folded import Folded, folded


@final
class Episodic(OverEpisodes):
    r"""Lower the query loss after adaptation, averaged over episodes.

    An adaptation :math:`A` is written for one episode; here it meets all episodes of a step at once:

    .. math:: \frac{1}{T} \sum_{t=1}^{T} L\bigl(A(\theta, S_t),\, Q_t\bigr)

    The episodes run side by side, with gradients equal to those of the loop over episodes to rounding.
    Gradient steps on a net that is a chain of known layers are batched products (``folded/``); all else
    goes by ``torch.func.vmap``, which alone is wrong for affine norms, see ``_vectorise.py``. Where a network
    cannot be vectorised (recurrent layers, control flow that depends on data), the loop is used and a warning
    says why.

    Args:
        adaptation: from the net and a support set to an adapted net, ``MAML``, ``ProtoNet`` or one's
            own; a Module's weights are trained too.
        loss: from outputs ``(Q, O)`` and targets ``(Q, ...)`` to a scalar, the unit of ``"query"``.
        chunk: episodes that run side by side, at least 1; ``None`` for all. The gradient of a chunk is
            taken in the forward pass, so memory is that of one chunk.
        max_memory: bytes that a step's tensors may hold beside weights and rows. The first step chooses
            ``chunk`` for it, by measuring one episode and two; where not even one fits, the graphs of inner
            steps are made again rather than kept. Gradients are the same. A process takes up to twice as
            much, as kernels need room of their own and freed memory is not given back at once.
        debug: compare the first step with the plain loop over episodes.

    Shape:
        episodes ``x (T, S, *)`` and ``(T, Q, *)``; returns ``{"query": ()}``.

    Raises:
        TypeError: if the batch is not ``Episodes``.
        ValueError: if ``chunk`` or ``max_memory`` is below 1, or the memory of one episode is above it.
        RuntimeError: with ``debug``, if the gradients are not those of the loop.

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
        max_memory: int | None = None,
        debug: bool = False,
    ) -> None:
        super().__init__(chunk, max_memory=max_memory, debug=debug)
        self.adaptation, self.loss = adaptation, loss

    def episode(self, net: Net, support: Labelled, query: Labelled, progress: float) -> Tensor:
        """Return the query loss after adaptation."""
        return self.loss(self.adaptation(net, support)(query.x), query.y)

    def folded(self, net: Net, batch: Episodes, progress: float) -> Tensor | None:
        """Take the steps of all episodes at once, where the net is a chain of known layers."""

        def last(steps: Folded) -> Tensor:
            *_, own = steps.path(batch.support)
            return steps.losses(own, batch.query, self.loss)

        return folded(self.adaptation, net, last, self.leaves(net))
