"""Model-agnostic meta-learning: a start from which a few gradient steps suffice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.nn.functional import cross_entropy

from ..models import Adapted, Net
from ..tasks import Labelled
from ._descent import Descent, Loss, check_steps, movable


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
        only: adapt only weights whose name starts with this, as ``"backbone.blocks.3"``; see also ``ANIL``
            and ``BOIL``.
        loss: from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Raises:
        ValueError: if a setting is out of range, or no trainable weight's name starts with ``only``.

    Differs from the paper:
        batch normalisation in training mode uses the statistics of the rows of the call, as in the
        authors' code, so that queries are judged together; in eval mode the running ones.

    Example:
        >>> import torch
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
    loss: Loss = cross_entropy

    def __post_init__(self) -> None:
        check_steps(self.lr, self.steps)

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the weights that fit the support set."""
        *_, last = self.path(net, support)
        return last

    def path(self, net: Net, support: Labelled) -> Iterator[Adapted]:
        """Give the net after each step."""
        return self.descent(net).path(net, support)

    def descent(self, net: Net) -> Descent:
        """Say which weights the steps move, and how."""
        weights = movable(net, self.task, self.only)
        return Descent(self.task, weights, self.loss, self._move, self.steps, self.first_order)

    def _move(self, step: int, name: str, weight: Tensor, gradient: Tensor) -> Tensor:
        return weight.add(gradient, alpha=-self.lr)  # the derivative of `sub` takes two passes
