"""Rows held out of training: what a net says of them now and then decides which weights are kept.

Shapes: ``F`` folds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from ..models import Net
from ..tasks import Task
from .evaluate import predict

FOLDS = 8  # of the held-out rows, whose differences tell noise from worse weights


class Watch(Protocol):
    """What looks at a net after each step of ``fit``, and says at the end which weights are left."""

    def after(self, net: Net, step: int) -> None:
        """Look, after that many steps."""

    def keep(self, net: Net) -> None:
        """Write the weights that are left into the net."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a run that is resumed goes on with."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with it."""


class Held:
    """Look at held-out rows every so many steps, and keep the weights that did best on them.

    The last weights are kept unless earlier ones did better by more than the standard error of the
    difference, which the folds of the rows tell.

    Args:
        losses: gives the loss of each fold, ``(F,)`` float64, as ``losses_of`` does: the rows of each fold
            are the same at every look.
        every: steps from one look to the next, at least 1.

    Example:
        >>> from torch import nn
        >>> from headstart.tasks import Labelled, Regression
        >>> net = Net(nn.Identity(), {"a": nn.Linear(1, 1)})
        >>> rows = Labelled(torch.arange(16.0)[:, None], torch.zeros(16))
        >>> held = Held(losses_of(Task("a", Regression(), rows)), every=5)
        >>> for step in (5, 10):  # worse with every step
        ...     _ = nn.init.constant_(net.heads["a"].weight, step)
        ...     held.after(net, step)
        >>> held.keep(net)
        >>> net.heads["a"].weight.item()
        5.0
    """

    def __init__(self, losses: Callable[[Net], Tensor], every: int) -> None:
        self.losses, self.every = losses, every
        self.step = 0  # of the best look
        self._best: Tensor | None = None  # (F,) losses
        self._last: Tensor | None = None
        self._weights: dict[str, Tensor] = {}

    def after(self, net: Net, step: int) -> None:
        """Look, where it is time to."""
        if step % self.every:
            return
        self._last = self.losses(net)
        if self._best is None or self._last.mean() < self._best.mean():
            self.step, self._best = step, self._last
            self._weights = {name: value.detach().clone() for name, value in moving(net)}

    def keep(self, net: Net) -> None:
        """Write the best weights back into the net, where the last ones are worse beyond noise."""
        if self._best is None or self._last is None:
            return
        worse = self._last - self._best
        if worse.mean() > worse.std() / len(worse) ** 0.5:
            with torch.no_grad():
                for name, value in moving(net):
                    value.copy_(self._weights[name])

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen so far."""
        return {"step": self.step, "best": self._best, "last": self._last, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with what was seen before."""
        self.step, self._best, self._last = state["step"], state["best"], state["last"]
        self._weights = dict(state["weights"])


def losses_of(*tasks: Task) -> Callable[[Net], Tensor]:
    """Make what gives a net's loss on each of eight folds of rows, summed over the tasks.

    Args:
        tasks: with a head each in the net; their training rows are the held-out ones, in memory, 8 at least.

    Shape:
        returns ``(8,)`` float64.

    Example:
        >>> from torch import nn
        >>> from headstart.tasks import Labelled, Regression
        >>> net = Net(nn.Identity(), {"a": nn.Linear(1, 1)})
        >>> _ = nn.init.zeros_(net.heads["a"].weight), nn.init.zeros_(net.heads["a"].bias)
        >>> rows = Labelled(torch.zeros(8, 1), torch.arange(8.0))
        >>> losses_of(Task("a", Regression(), rows))(net).tolist()
        [0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0]
    """

    def losses(net: Net) -> Tensor:
        folds = torch.zeros(FOLDS, dtype=torch.float64)
        for task in tasks:
            assert task.train.held
            outputs = predict(net, task.name, task.train.x, progress=False).cpu()
            each = [task.loss(outputs[n::FOLDS], task.train.y[n::FOLDS].cpu()) for n in range(FOLDS)]
            folds = folds + torch.stack(each).double()
        return folds

    return losses


def moving(net: Net) -> list[tuple[str, Tensor]]:
    """List what training moves: weights that are not frozen, and buffers."""
    free = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    return [*free, *net.named_buffers()]
