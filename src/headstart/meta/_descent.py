"""Gradient steps on a support set that can be differentiated through: what all relatives of MAML share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..errors import wrong
from ..models import Adapted, Net
from ..tasks import Labelled

Loss = Callable[[Tensor, Tensor], Tensor]
Weights = dict[str, Tensor]
Move = Callable[[int, str, Tensor, Tensor], Tensor]  # step, name, weight, gradient: the new weight


@dataclass(frozen=True)
class Descent:
    """Say how gradient steps on a support set move a net; ``Episodic`` takes them for all episodes at once.

    Args:
        task: head to use.
        weights: those that move, by name, as they are at the start.
        loss: that the steps lower.
        move: says where a weight goes by its gradient; works for a stack of both too.
        steps: how many.
        first_order: treat gradients as constants.
        features_once: whether support rows pass a trunk that stays only once.
    """

    task: str
    weights: Mapping[str, Tensor]
    loss: Loss
    move: Move
    steps: int
    first_order: bool
    features_once: bool = False

    def path(self, net: Net, support: Labelled) -> Iterator[Adapted]:
        """Give the net after each step, for one episode."""
        lower = lowering(net, self.task, support, self.loss)
        for moved in descend(lower, dict(self.weights), self.move, self.steps, first_order=self.first_order):
            yield Adapted(net, self.task, moved)


def check_steps(lr: float, steps: int) -> None:
    """Raise ``ValueError`` where a step size or a number of steps is out of range."""
    if not lr > 0:
        raise wrong("`lr`", expected="above 0", found=lr)
    if steps < 1:
        raise wrong("`steps`", expected="at least 1", found=steps, hint="`ProtoNet` adapts without steps")


def movable(net: Net, task: str, only: str = "") -> dict[str, nn.Parameter]:
    """Name the trainable weights of a net that an adaptation of ``task`` moves: the trunk and its own head.

    Raises:
        KeyError: if there is no such head.
        ValueError: if no trainable weight's name starts with ``only``.
    """
    net.head(task)
    trunk, head = "backbone.", f"heads.{task}."
    found = {
        name: weight
        for name, weight in net.named_parameters()
        if weight.requires_grad and name.startswith(only) and name.startswith((trunk, head))
    }
    if not found:
        raise wrong(
            "`only`",
            expected="the start of a trainable weight's name",
            found=f'"{only}"',
            hint='pass "backbone." or "heads.", or unfreeze what is to be adapted',
        )
    return found


def descend(
    lower: Callable[[Weights], Tensor], weights: Weights, move: Move, steps: int, *, first_order: bool
) -> Iterator[Weights]:
    """Give the weights after each of some gradient steps.

    Under ``torch.no_grad`` no second-order graph is kept.

    Args:
        lower: from weights to the scalar that is to be lowered.
        weights: to start from.
        move: says where a weight goes by its gradient.
        steps: how many.
        first_order: treat gradients as constants.
    """
    for step in range(steps):
        # torch.func differentiates inside in any case; the mode says whether from outside as well.
        second = torch.is_grad_enabled() and not first_order
        # The fast kernels of attention have no second derivative.
        with torch.set_grad_enabled(second), sdpa_kernel(SDPBackend.MATH) if second else nullcontext():
            value, pull = vjp(lower, weights)[:2]
            (gradient,) = pull(torch.ones_like(value))
        weights = {name: move(step, name, weight, gradient[name]) for name, weight in weights.items()}
        yield weights


def lowering(net: Net, task: str, support: Labelled, loss: Loss) -> Callable[[Weights], Tensor]:
    """Return the loss on the support set as a function of weights."""
    return lambda weights: loss(Adapted(net, task, weights)(support.x), support.y)
