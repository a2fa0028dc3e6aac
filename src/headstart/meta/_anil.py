"""Almost no inner loop: gradient steps on the head alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from ..models import Adapted, Net
from ..models.net import spared
from ..tasks import Labelled
from ._descent import Descent, Loss, Weights, check_steps, descend, movable


@final
@dataclass(frozen=True)
class ANIL:
    r"""Adapt the head by gradient steps on features that stay as they are.

    As ``MAML`` with the head's weights :math:`w` alone, so the features :math:`z = f_\theta(x)` of the
    support set are computed once:

    .. math:: w' = w - \alpha \nabla_w L_S(w; z)

    Meta-training moves :math:`\theta` and the start :math:`w` both.

    Args:
        task: head to use.
        lr: inner step size :math:`\alpha`, above 0.
        steps: inner steps, at least 1.
        first_order: leave out second derivatives.
        loss: from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Raises:
        ValueError: if a setting is out of range, or the head is frozen.

    Example:
        >>> import torch
        >>> from headstart.models import Net
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> sorted(ANIL("coins", lr=0.1)(net, support).weights)
        ['heads.coins.bias', 'heads.coins.weight']

    References:
        Raghu et al. (ICLR 2020), section 4, https://arxiv.org/abs/1909.09157
    """

    task: str
    lr: float = 0.01
    steps: int = 5
    first_order: bool = False
    loss: Loss = cross_entropy

    def __post_init__(self) -> None:
        check_steps(self.lr, self.steps)

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with a head that fits the support set."""
        prefix, descent = f"heads.{self.task}.", self.descent(net)
        head, z = net.head(self.task), net.features(support.x, self.task)

        def lower(weights: Weights) -> Tensor:
            own = {name.removeprefix(prefix): weight for name, weight in weights.items()}
            return self.loss(functional_call(head, own, (spared(head, z),)), support.y)

        start = dict(descent.weights)
        *_, weights = descend(lower, start, self._move, self.steps, first_order=self.first_order)
        return Adapted(net, self.task, weights)

    def descent(self, net: Net) -> Descent:
        """Say which weights the steps move, and how."""
        weights = movable(net, self.task, f"heads.{self.task}.")
        settings = (self.loss, self._move, self.steps, self.first_order)
        return Descent(self.task, weights, *settings, features_once=True)

    def _move(self, step: int, name: str, weight: Tensor, gradient: Tensor) -> Tensor:
        return weight.add(gradient, alpha=-self.lr)  # the derivative of `sub` takes two passes
