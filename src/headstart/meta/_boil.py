"""Body only update in the inner loop: gradient steps on the trunk alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

from torch.nn.functional import cross_entropy

from ..models import Adapted, Net
from ..tasks import Labelled
from ._descent import Descent, Loss, check_steps
from ._maml import MAML


@final
@dataclass(frozen=True)
class BOIL:
    r"""Adapt the trunk by gradient steps, under a head that stays as it is.

    The features have to move to where the head expects each class, so they are learned to change, where
    ``ANIL`` learns ones to be reused. The head needs to have been meta-trained, for as many classes: under
    one that is zero, no gradient reaches the trunk.

    Args:
        task: head to use.
        lr: inner step size, above 0.
        steps: inner steps, at least 1.
        first_order: leave out second derivatives.
        loss: from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Raises:
        ValueError: if a setting is out of range, or the trunk is frozen.

    Example:
        >>> import torch
        >>> from headstart.models import Net
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> sorted(BOIL("coins", lr=0.1)(net, support).weights)
        ['backbone.bias', 'backbone.weight']

    References:
        Oh et al. (ICLR 2021), section 3, https://arxiv.org/abs/2008.08882
    """

    task: str
    lr: float = 0.01
    steps: int = 5
    first_order: bool = False
    loss: Loss = cross_entropy
    fixed_head: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_steps(self.lr, self.steps)

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with a trunk that fits the support set."""
        *_, last = self.path(net, support)
        return last

    def path(self, net: Net, support: Labelled) -> Iterator[Adapted]:
        """Give the net after each step."""
        return self.descent(net).path(net, support)

    def descent(self, net: Net) -> Descent:
        """Say which weights the steps move, and how."""
        steps = MAML(self.task, self.lr, self.steps, self.first_order, "backbone.", self.loss)
        return steps.descent(net)
