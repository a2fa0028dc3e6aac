"""Implicit MAML: the gradient of where the steps end, not of the way there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.func import grad, vjp
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from ..errors import wrong
from ..models import Adapted, Net
from ..tasks import Labelled
from ..tasks.nouns import parts
from ._descent import Loss, Weights, check_steps, descend, lowering, movable
from ._ridge import check_positive
from ._vectorise import ExactNorms


@final
@dataclass(frozen=True)
class iMAML:
    r"""Adapt by many gradient steps near the start; the meta-gradient does not look at the steps.

    The adapted weights are the minimum of the support loss with a pull towards the start,

    .. math:: \phi = \arg\min_\phi L_S(\phi) + \tfrac{\lambda}{2} \lVert \phi - \theta \rVert^2, \qquad
        \frac{d \phi}{d \theta} = \bigl(I + \tfrac{1}{\lambda} \nabla^2 L_S(\phi)\bigr)^{-1}

    so memory does not grow with the number of steps. Its product with a gradient is found by conjugate
    gradients.

    Args:
        task: head to use.
        lr: inner step size, above 0.
        steps: inner steps, at least 1.
        pull: :math:`\lambda`, above 0; the larger, the nearer to the start.
        solves: steps of conjugate gradients, at least 1, each two passes over the support set.
        loss: from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Raises:
        ValueError: if a setting is out of range, or nothing trains.

    Differs from the paper:
        plain gradient steps rather than a line search of second order.

    Example:
        >>> from headstart.models import Net
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> iMAML("coins", lr=0.1)(net, support)(torch.randn(5, 4)).shape
        torch.Size([5, 2])

    References:
        Rajeswaran et al. (NeurIPS 2019), lemma 1 and algorithm 2, https://arxiv.org/abs/1909.04630
    """

    task: str
    lr: float = 0.1
    steps: int = 16
    pull: float = 2.0
    solves: int = 5
    loss: Loss = cross_entropy

    def __post_init__(self) -> None:
        check_steps(self.lr, self.steps)
        check_positive(pull=self.pull)
        if self.solves < 1:
            raise wrong("`solves`", expected="at least 1", found=self.solves)

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the weights that fit the support set."""
        start: Weights = dict(movable(net, self.task))
        here = {name: weight.detach() for name, weight in start.items()}
        fit = lowering(net, self.task, support, self.loss)

        def lower(weights: Weights) -> Tensor:
            away = sum((weights[name] - here[name]).square().sum() for name in here)
            return fit(weights) + self.pull / 2 * away

        with torch.no_grad():
            *_, end = descend(lower, here, self._move, self.steps, first_order=True)
        if not torch.is_grad_enabled():
            return Adapted(net, self.task, end)
        names, x = list(end), parts(support.x)

        def curvature(phi: Weights, y: Tensor, *rows: Tensor) -> Callable[[Weights], Weights]:
            again = dict(zip(x, rows, strict=True))
            slope = grad(lowering(net, self.task, Labelled(again.get("", again), y), self.loss))
            product = vjp(slope, phi)[1]
            return lambda v: product(v)[0]

        about = _About(net, names, self.pull, self.solves, curvature)
        joined = _Implicit.apply(about, *start.values(), *end.values(), support.y, *x.values())
        return Adapted(net, self.task, dict(zip(names, joined, strict=True)))

    def _move(self, step: int, name: str, weight: Tensor, gradient: Tensor) -> Tensor:
        return weight.sub(gradient, alpha=self.lr)


@dataclass(frozen=True)
class _About:
    net: Net
    names: list[str]
    pull: float
    solves: int
    curvature: Callable[..., Callable[[Weights], Weights]]


class _Implicit(torch.autograd.Function):
    """Give the end of the way as a function of its start."""

    generate_vmap_rule = True

    @staticmethod
    def forward(about: _About, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(about.names)
        return tuple(end.clone() for end in tensors[count : 2 * count])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        about, *tensors = inputs
        ctx.about, ctx.unused = about, len(tensors) - len(about.names)
        ctx.save_for_backward(*tensors[len(about.names) :])

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        about = ctx.about
        phi, rows = ctx.saved_tensors[: len(about.names)], ctx.saved_tensors[len(about.names) :]
        with torch.no_grad(), ExactNorms(about.net), sdpa_kernel(SDPBackend.MATH):
            product = about.curvature(dict(zip(about.names, phi, strict=True)), *rows)
            target = dict(zip(about.names, upstream, strict=True))
            found = _conjugate(lambda v: _plus(v, product(v), 1 / about.pull), target, about.solves)
        return None, *found.values(), *(None for _ in range(ctx.unused))


def _conjugate(apply: Callable[[Weights], Weights], target: Weights, steps: int) -> Weights:
    """Solve ``apply(v) = target`` by conjugate gradients from 0, up to a direction that curves down."""
    found = {name: torch.zeros_like(value) for name, value in target.items()}
    residual = direction = target
    size = _dot(residual, residual)
    going = torch.ones_like(size, dtype=torch.bool)
    for _ in range(steps):
        ahead = apply(direction)
        curvature = _dot(direction, ahead)
        going = going & (curvature > 0)
        length = torch.where(going, size / curvature, 0.0)
        found, residual = _plus(found, direction, length), _plus(residual, ahead, -length)
        new = _dot(residual, residual)
        direction = _plus(residual, direction, torch.where(going, new / size, 0.0))
        size = new
    return found


def _plus(a: Weights, b: Weights, factor: Tensor | float) -> Weights:
    return {name: a[name] + factor * b[name] for name in a}


def _dot(a: Weights, b: Weights) -> Tensor:
    return torch.stack([(a[name] * b[name]).sum() for name in a]).sum()
