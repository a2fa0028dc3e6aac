"""Objectives of episodes: written for one, run for all of a step side by side."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..models import Net
from ..models.fresh import copied
from ..tasks import Episodes, Labelled, X
from ..tasks.nouns import convert
from ._memory import episodes_within
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
        max_memory: bytes that a step may hold; the first one chooses ``chunk`` for it, and where not even one
            episode fits, steps whose graphs are made twice rather than kept.
        debug: compare the first step with the plain loop.

    Attributes:
        loss_name: the name of the loss.
    """

    loss_name: ClassVar[str]

    def __init__(self, chunk: int | None, *, max_memory: int | None = None, debug: bool = False) -> None:
        super().__init__()
        if chunk is not None and chunk < 1:
            raise wrong("`chunk`", expected="at least 1, or None for all", found=chunk)
        if max_memory is not None and max_memory < 1:
            raise wrong("`max_memory`", expected="bytes, at least 1, or None", found=max_memory)
        self.chunk, self.max_memory, self.debug = chunk, max_memory, debug
        self._looping = self._checked = self._twice = False

    def episode(self, net: Net, support: Labelled, query: Labelled, progress: float) -> Tensor:
        """Return the loss of one episode."""
        raise NotImplementedError

    def folded(self, net: Net, batch: Episodes, progress: float) -> Tensor | None:
        """Return the losses of all episodes at once, ``(T,)``, where the net is a chain of known layers."""
        return None

    def forward(self, net: Net, batch: Episodes, progress: float) -> dict[str, Tensor]:
        """Return the mean loss of the episodes, by its name."""
        check_episodes(batch)
        if self.debug and not self._checked:
            self._checked = True
            self._check(net, batch, progress)
        if self.max_memory is not None and self.chunk is None:
            self._choose(net, batch, progress, self.max_memory)
        return {self.loss_name: self._mean(net, batch, progress)}

    def _mean(self, net: Net, batch: Episodes, progress: float) -> Tensor:
        total, size = len(batch), self.chunk or len(batch)
        if size >= total:
            return self._losses(net, batch, progress).mean()

        def part(index: int) -> Tensor:
            some = _some(batch, index * size, (index + 1) * size)
            return self._losses(net, some, progress).sum() / total

        parts = -(-total // size)
        if not torch.is_grad_enabled():
            return torch.stack([part(i) for i in range(parts)]).sum()
        return Accumulated.apply(part, parts, *self._weights(net))

    def leaves(self, net: Net) -> tuple[Tensor, ...]:
        """List all weights, where the graphs of inner steps are to be made twice rather than kept."""
        return tuple(self._weights(net)) if self._twice else ()

    def _weights(self, net: Net) -> list[nn.Parameter]:
        return [p for p in (*net.parameters(), *self.parameters()) if p.requires_grad]

    def _choose(self, net: Net, batch: Episodes, progress: float, limit: int) -> None:
        """Choose how many episodes run side by side, by the memory of one and of two."""
        weights = self._weights(net)

        def run(count: int) -> None:
            with _same_buffers(net), torch.enable_grad():
                loss = self._losses(net, _some(batch, 0, count), progress).mean()
                torch.autograd.grad(loss, weights, allow_unused=True)

        for self._twice in (False, True):
            self.chunk = episodes_within(limit, len(batch), run) or None
            if self.chunk:
                return
        raise wrong(
            "`max_memory`",
            expected="enough for a step with one episode",
            found=f"{limit} bytes",
            hint="take fewer inner steps, or those of first order",
        )

    def _check(self, net: Net, batch: Episodes, progress: float) -> None:
        """Raise ``RuntimeError`` where the way that is chosen differs from the plain loop, in float64."""
        wide, own = copy.deepcopy(self).double(), copied(net).double()
        rows = convert(batch, lambda part: part.double() if part.is_floating_point() else part)
        weights, found = wide._weights(own), []
        for way in (wide._mean, lambda *given: wide._loop(*given).mean()):
            with torch.enable_grad():
                loss = way(own, rows, progress)
                slopes = torch.autograd.grad(loss, weights, materialize_grads=True)
            found.append(torch.cat([loss.detach()[None], *(slope.flatten() for slope in slopes)]))
        away = (found[0] - found[1]).norm() / found[1].norm()
        if not away < 1e-6:
            raise wrong(
                "gradients of all episodes at once",
                expected="those of the loop over episodes",
                found=f"a relative difference of {away:.1e}",
                hint="dropout differs from run to run; without it, please report this net",
                error=RuntimeError,
            )

    def _losses(self, net: Net, batch: Episodes, progress: float) -> Tensor:
        """Return the loss of every episode, ``(T,)``."""
        if self._looping:
            return self._loop(net, batch, progress)
        support, query, buffers = batch.support, batch.query, list[Tensor]()

        def one(sx: X, sy: Tensor, qx: X, qy: Tensor) -> Tensor:
            return self.episode(net, Labelled(sx, sy), Labelled(qx, qy), progress)

        try:
            with warnings.catch_warnings():
                # An operation that vmap can only run row by row is no faster than the loop.
                warnings.filterwarnings("ignore", ".*performance drop.*")
                if (folded := self.folded(net, batch, progress)) is not None:
                    return folded
                if len(batch) == 1:
                    return self._loop(net, batch, progress)
                buffers += (b.clone() for b in net.buffers())
                return over_episodes(one, net, (support.x, support.y, query.x, query.y))
        except RuntimeError as error:
            reason = str(error).strip().split("\n")[0]
        with torch.no_grad():
            for buffer, old in zip(net.buffers(), buffers, strict=False):  # none, if the folded path refused
                buffer.copy_(old)
        losses = self._loop(net, batch, progress)
        warnings.warn(f"episodes run one after another, because vmap refused: {reason}", stacklevel=3)
        self._looping = True
        return losses

    def _loop(self, net: Net, batch: Episodes, progress: float) -> Tensor:
        return one_by_one(lambda t: self.episode(net, *batch.episode(t), progress), net, len(batch))


def _some(batch: Episodes, start: int, end: int) -> Episodes:
    at = torch.arange(start, min(end, len(batch)))
    return Episodes(batch.support.take(at), batch.query.take(at), batch.ways)


@contextmanager
def _same_buffers(net: nn.Module) -> Iterator[None]:
    """Leave running statistics as they were."""
    before = [buffer.clone() for buffer in net.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, old in zip(net.buffers(), before, strict=True):
                buffer.copy_(old)


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
