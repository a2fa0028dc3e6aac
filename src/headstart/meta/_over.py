"""Objectives of episodes: written for one, run for all of a step side by side."""

from __future__ import annotations

import warnings
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..models import Net
from ..tasks import Episodes, Labelled, X
from ._vectorise import Accumulated, one_by_one, over_episodes


class OverEpisodes(nn.Module):
    """Lower the mean over episodes of what ``episode`` says of one.

    The episodes run side by side under ``torch.func.vmap``, with gradients equal to those of the loop over
    episodes to rounding; ``vmap`` alone is wrong for affine norms, see ``_vectorise.py``. Where a network
    cannot be vectorised (recurrent layers, control flow that depends on data), the loop is used and a
    warning says why.

    Args:
        chunk: episodes that run side by side, at least 1; ``None`` for all. The gradient of a chunk is taken
            in the forward pass, so memory is that of one chunk.

    Attributes:
        loss_name: the name of the loss.
    """

    loss_name: ClassVar[str]

    def __init__(self, chunk: int | None) -> None:
        super().__init__()
        if chunk is not None and chunk < 1:
            raise wrong("`chunk`", expected="at least 1, or None for all", found=chunk)
        self.chunk = chunk
        self._looping = False

    def episode(self, net: Net, support: Labelled, query: Labelled, progress: float) -> Tensor:
        """Return the loss of one episode."""
        raise NotImplementedError

    def forward(self, net: Net, batch: Episodes, progress: float) -> dict[str, Tensor]:
        """Return the mean loss of the episodes, by its name."""
        check_episodes(batch)
        total, size = len(batch), self.chunk or len(batch)
        if size >= total:
            return {self.loss_name: self._losses(net, batch, progress).mean()}

        def part(index: int) -> Tensor:
            at = torch.arange(index * size, min((index + 1) * size, total))
            some = Episodes(batch.support.take(at), batch.query.take(at), batch.ways)
            return self._losses(net, some, progress).sum() / total

        parts = -(-total // size)
        weights = [p for p in (*net.parameters(), *self.parameters()) if p.requires_grad]
        if not torch.is_grad_enabled():
            return {self.loss_name: torch.stack([part(i) for i in range(parts)]).sum()}
        return {self.loss_name: Accumulated.apply(part, parts, *weights)}

    def _losses(self, net: Net, batch: Episodes, progress: float) -> Tensor:
        """Return the loss of every episode, ``(T,)``."""
        if self._looping:
            return self._loop(net, batch, progress)
        buffers = [b.clone() for b in net.buffers()]
        support, query = batch.support, batch.query

        def one(sx: X, sy: Tensor, qx: X, qy: Tensor) -> Tensor:
            return self.episode(net, Labelled(sx, sy), Labelled(qx, qy), progress)

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
        losses = self._loop(net, batch, progress)
        warnings.warn(f"episodes run one after another, because vmap refused: {reason}", stacklevel=3)
        self._looping = True
        return losses

    def _loop(self, net: Net, batch: Episodes, progress: float) -> Tensor:
        return one_by_one(lambda t: self.episode(net, *batch.episode(t), progress), net, len(batch))


def check_episodes(batch: object) -> None:
    """Raise ``TypeError`` where a batch is no ``Episodes``."""
    if not isinstance(batch, Episodes):
        raise wrong(
            "batch",
            expected="Episodes",
            found=type(batch).__name__,
            hint="stream with `hs.episodes`",
            error=TypeError,
        )
