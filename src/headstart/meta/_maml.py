"""Model-agnostic meta-learning: a start from which a few gradient steps suffice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.func import vjp
from torch.nn.functional import cross_entropy

from ..errors import wrong
from ..models import Adapted, Net
from ..tasks import Labelled


@final
@dataclass(frozen=True)
class MAML:
    r"""Adapt weights to a support set by a few gradient steps that can be differentiated through.

    Meta-training (with :class:`Episodic`) looks for a start :math:`\theta` whose adapted weights do
    well on rows that were not in the support set:

    .. math:: \theta' = \theta - \alpha \nabla_\theta L_S(\theta), \qquad \min_\theta L_Q(\theta')

    Weights that do not require a gradient stay as they are. Under ``torch.no_grad`` the steps are
    taken all the same, without a second-order graph, and the adapted weights are detached.

    Args:
        task: head to use.
        lr: inner step size :math:`\alpha`, above 0, in weight units per unit of gradient.
        steps: inner steps, at least 1.
        first_order: leave out second derivatives (FOMAML); faster, about as good on many sets.
        only: adapt only weights whose name starts with this (``"heads."`` is ANIL, ``"backbone."`` BOIL).
        loss: from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Raises:
        ValueError: if a setting is out of range, or no trainable weight's name starts with ``only``.

    Differs from the paper:
        batch normalisation in training mode uses the statistics of the rows of the call, as in the
        authors' code, so that queries are judged together; in eval mode the running ones.

    Example:
        >>> from headstart.models import Net
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> MAML("coins", lr=0.1, steps=3)(net, support)(torch.randn(5, 4)).shape
        torch.Size([5, 2])

    References:
        Finn, Abbeel & Levine (ICML 2017), algorithms 1 and 2, https://arxiv.org/abs/1703.03400
    """

    task: str
    lr: float = 0.01
    steps: int = 5
    first_order: bool = False
    only: str = ""
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise wrong("`lr`", expected="above 0", found=self.lr)
        if self.steps < 1:
            raise wrong(
                "`steps`", expected="at least 1", found=self.steps, hint="`ProtoNet` adapts without steps"
            )

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the weights that fit the support set."""
        weights: dict[str, Tensor] = {
            n: p for n, p in net.named_parameters() if p.requires_grad and n.startswith(self.only)
        }
        if not weights:
            raise wrong(
                "`only`",
                expected="the start of a trainable weight's name",
                found=f'"{self.only}"',
                hint='pass "backbone." or "heads.", or unfreeze what is to be adapted',
            )

        def lower(weights: dict[str, Tensor]) -> Tensor:
            return self.loss(Adapted(net, self.task, weights)(support.x), support.y)

        for _ in range(self.steps):
            # torch.func differentiates inside in any case; the mode says whether from outside as well.
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.first_order):
                value, pull = vjp(lower, weights)[:2]
                (gradient,) = pull(torch.ones_like(value))
            weights = {n: w.sub(gradient[n], alpha=self.lr) for n, w in weights.items()}
        return Adapted(net, self.task, weights)
