"""Gradient steps and query losses of all episodes at once, along a chain of layers.

Shapes: ``T`` episodes, ``N`` rows of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ...models import Net
from ...models.net import typed
from ...tasks import Labelled
from .._descent import Descent, Loss
from .._memory import Recomputed
from .._vectorise import track
from . import perceptron
from .chain import Links, links
from .conv import Pass, for_each
from .sweep import Sweep, Unfolded, Weights, batched


@dataclass
class Folded:
    """Take the steps of a descent for all episodes of a step.

    Args:
        net: that is adapted.
        links: its layers.
        descent: which steps.
        leaves: all weights that a step depends on, where its graph is to be made again rather than kept.

    Attributes:
        seen: the statistics of all batch norms that keep running ones, call by call.
    """

    net: Net
    links: Links
    descent: Descent
    leaves: tuple[Tensor, ...] = ()
    seen: list[tuple[_BatchNorm, Tensor, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._running = Pass()
        of = [(a.name + n, getattr(a.call, n)) for a in self.links if a.name for n in ("weight", "bias")]
        self._start = {name: weight for name, weight in of if weight is not None}
        self._dtype = next(p.dtype for p in self._start.values() if p.is_floating_point())
        after = zip(self.links, (*self.links[1:], None), strict=True)
        normed = {a.name + "bias" for a, b in after if a.form == "layer" and b is not None and batched(b)}
        # A batch norm takes a bias in front of it away again: its gradient is 0.
        self._idle = {name: p for name, p in self._start.items() if name in normed}
        self._wanted = frozenset(self.descent.weights) - normed
        at = {n: i for i, a in enumerate(self.links) if a.name for n in self._wanted if n.startswith(a.name)}
        if not at or len(at) < len(self._wanted):
            raise Unfolded("a weight that moves is in no layer of the chain")
        self._first = min(at.values())

    def path(self, support: Labelled) -> Iterator[Weights]:
        """Give the weights that the tasks have of their own after each step."""
        descent = self.descent
        second = torch.is_grad_enabled() and not descent.first_order
        with torch.set_grad_enabled(second):
            sweep = self._sweep(self._start, {}, len(support.y))
            z = sweep.run(self.links[: self._first], self._laid_out(support))
        own: Weights = {}
        for step in range(descent.steps):
            if not (step and descent.features_once):
                self.seen += sweep.seen
            own = self._again(step, own, z, support.y) if self.leaves else self._step(step, own, z, support.y)
            yield own

    def losses(self, own: Weights, query: Labelled, loss: Loss) -> Tensor:
        """Return the loss of each episode's query rows, ``(T,)``."""
        sweep, at = self._sweep(self._start, own, len(query.y)), perceptron.tail(self.links, loss)
        z = sweep.run(self.links[:at], self._laid_out(query))
        found = perceptron.losses(self.links[at:], {**self._start, **own}, z, query.y, loss)
        if found is None:
            found = by_episode(loss, sweep.run(self.links[at:], z), query.y)
        self.seen += sweep.seen
        idle = [own.get(name, bias).sum() for name, bias in self._idle.items()]
        return found + 0 * sum(idle) if idle else found

    def _step(self, step: int, own: Weights, z: Tensor, y: Tensor) -> Weights:
        descent = self.descent
        by = self._gradients(own, z, y)
        by |= {n: torch.zeros_like(p) for n, p in self._idle.items() if n in descent.weights}
        start = {n: self._start[n] for n in descent.weights}
        now = own or {n: for_each(w, len(y)) if w.ndim == 4 else w for n, w in start.items()}
        return {n: descent.move(step, n, now[n], by[n]) for n in descent.weights}

    def _again(self, step: int, own: Weights, z: Tensor, y: Tensor) -> Weights:
        """Take a step whose graph is not kept."""

        def function(z: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
            return tuple(self._step(step, dict(zip(own, values, strict=True)), z, y).values())

        made = Recomputed.apply(function, 1 + len(own), z, *own.values(), *self.leaves)
        return dict(zip(self.descent.weights, made, strict=True))

    def _gradients(self, own: Weights, z: Tensor, y: Tensor) -> Weights:
        second = torch.is_grad_enabled() and not self.descent.first_order
        start: Mapping[str, Tensor] = self._start
        behind, loss = self.links[self._first :], self.descent.loss
        if perceptron.tail(behind, loss) == 0:
            with torch.set_grad_enabled(second):
                written = perceptron.gradients(behind, {**start, **own}, z, y, loss)
            if written is not None:
                return written
        with torch.enable_grad():
            if not second:  # what is differentiated by has to be the start of a graph of its own
                z = z.detach()
                start, own = (
                    {n: w.detach().requires_grad_(n in self._wanted) for n, w in some.items()}
                    for some in (start, own)
                )
            sweep = self._sweep(start, own, len(y), self._wanted)
            outputs = sweep.run(self.links[self._first :], z)
            losses = by_episode(self.descent.loss, outputs, y)
            self._running.rows_alone = not own
            try:
                by = [tensor for tensor, _ in sweep.asked]
                found = torch.autograd.grad(losses.sum(), by, create_graph=second)
            finally:
                self._running.rows_alone = False
            self.seen += sweep.seen
        made: Weights = {}
        with torch.set_grad_enabled(second):
            for (_, finish), gradient in zip(sweep.asked, found, strict=True):
                made |= finish(gradient)
        return made

    def _sweep(
        self,
        shared: Mapping[str, Tensor],
        own: Weights,
        tasks: int,
        wanted: frozenset[str] = frozenset(),
    ) -> Sweep:
        return Sweep(tasks, shared, own, wanted, self._running)

    def _laid_out(self, rows: Labelled) -> Tensor:
        x = rows.x
        if not isinstance(x, Tensor) or x.dtype != self._dtype:
            x = typed(self.net, x)
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim not in (3, 5):
            raise Unfolded("rows that are neither vectors nor images")
        return x if x.ndim == 3 else x.permute(0, 1, 3, 4, 2).contiguous()


def folded(
    adaptation: object, net: Net, losses: Callable[[Folded], Tensor], leaves: tuple[Tensor, ...] = ()
) -> Tensor | None:
    """Return the losses of all episodes, or ``None`` where an adaptation or a net is none that folds.

    Running statistics move as if the episodes had come one after another.

    Args:
        adaptation: folds where it says its steps, by ``descent``.
        net: that is adapted.
        losses: of the steps, ``(T,)``.
        leaves: as of ``Folded``.
    """
    say: Callable[[Net], Descent] | None = getattr(adaptation, "descent", None)
    if say is None:
        return None
    descent = say(net)
    chain = links(net, descent.task)
    if chain is None:
        return None
    try:
        steps = Folded(net, chain, descent, leaves)
        found = losses(steps)
    except Unfolded:
        return None
    with torch.no_grad():
        track([norm for norm, _, _ in steps.seen], [(mean, var) for _, mean, var in steps.seen])
    return found


def by_episode(loss: Loss, outputs: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each episode, ``(T,)``, from outputs ``(T, N, O)`` and targets ``(T, N, ...)``."""
    if outputs.ndim != 3:
        raise Unfolded("outputs that are no vectors")
    if loss is F.cross_entropy and not y.is_floating_point():
        each = F.cross_entropy(outputs.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)
        return each.sum(1) / (y != -100).sum(1)
    if loss is F.mse_loss and outputs.shape == y.shape:
        return (outputs - y).square().mean((1, 2))
    return torch.func.vmap(loss)(outputs, y)
