"""Meta-training: adapt on the support set, be judged on the query set."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..errors import wrong
from ..models import Net
from ..seams import Adaptation
from ..tasks import Episodes, Labelled, X
from ._vectorise import Accumulated, over_episodes


@final
class Episodic(nn.Module):
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
        >>> from headstart.meta import ProtoNet
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> rows = Labelled(torch.randn(3, 6, 4), torch.tensor([0, 1, 0, 1, 0, 1]).expand(3, -1))
        >>> Episodic(ProtoNet("coins"))(net, Episodes(rows, rows, ways=2), 0.0)["query"].shape
        torch.Size([])

    References:
        Vinyals et al. (NeurIPS 2016), equation 2, https://arxiv.org/abs/1606.04080
    """

    def __init__(
        self,
        adaptation: Adaptation,
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if chunk is not None and chunk < 1:
            raise wrong("`chunk`", expected="at least 1, or None for all", found=chunk)
        self.adaptation, self.loss, self.chunk = adaptation, loss, chunk
        self._looping = False

    def forward(self, net: Net, batch: Episodes, progress: float) -> dict[str, Tensor]:
        """Return the mean query loss as ``{"query": scalar}``."""
        if not isinstance(batch, Episodes):
            raise wrong(
                "batch",
                expected="Episodes",
                found=type(batch).__name__,
                hint="stream with `hs.episodes`",
                error=TypeError,
            )
        total, size = len(batch), self.chunk or len(batch)
        if size >= total:
            return {"query": self._losses(net, batch).mean()}

        def part(index: int) -> Tensor:
            at = torch.arange(index * size, min((index + 1) * size, total))
            some = Episodes(batch.support.take(at), batch.query.take(at), batch.ways)
            return self._losses(net, some).sum() / total

        parts = -(-total // size)
        weights = [p for p in (*net.parameters(), *self.parameters()) if p.requires_grad]
        if not torch.is_grad_enabled():
            return {"query": torch.stack([part(i) for i in range(parts)]).sum()}
        return {"query": Accumulated.apply(part, parts, *weights)}

    def _losses(self, net: Net, batch: Episodes) -> Tensor:
        """Return the query loss of every episode, ``(T,)``."""
        if self._looping:
            return self._loop(net, batch)
        buffers = [b.clone() for b in net.buffers()]
        support, query = batch.support, batch.query

        def one(sx: X, sy: Tensor, qx: X, qy: Tensor) -> Tensor:
            return self._episode(net, Labelled(sx, sy), Labelled(qx, qy))

        try:
            with warnings.catch_warnings():
                # An operation that vmap can only run row by row is no faster than the loop.
                warnings.filterwarnings("ignore", ".*performance drop.*")
                return over_episodes(one, net, (support.x, support.y, query.x, query.y))
        except RuntimeError as error:
            reason = str(error).strip().split("\n")[0]
        with torch.no_grad():
            for buffer, old in zip(net.buffers(), buffers, strict=True):
                buffer.copy_(old)
        losses = self._loop(net, batch)
        warnings.warn(f"episodes run one after another, because vmap refused: {reason}", stacklevel=3)
        self._looping = True
        return losses

    def _loop(self, net: Net, batch: Episodes) -> Tensor:
        return torch.stack([self._episode(net, *batch.episode(t)) for t in range(len(batch))])

    def _episode(self, net: Net, support: Labelled, query: Labelled) -> Tensor:
        return self.loss(self.adaptation(net, support)(query.x), query.y)
