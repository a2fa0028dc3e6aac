"""Baseline++: a classifier of cosines, trained on the support set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from ..errors import wrong
from ..maths import unit
from ..models import Adapted, Net
from ..models.heads import Sphere
from ..tasks import Labelled
from ._descent import Weights, check_steps, descend
from ._members import class_means, members, with_head


@final
@dataclass(frozen=True)
class BaselinePlusPlus:
    r"""Train a classifier of cosines on the support set, on features that stay as they are.

    .. math:: \text{logit}_k(z) = s \cos(z, w_k)

    The features come from ordinary training on the known classes. A reminder of how far that gets: at equal
    backbones it is near the methods that learn by episodes.

    Args:
        task: the head that is replaced.
        lr: step size, above 0.
        steps: gradient steps, at least 1.
        scale: :math:`s`, above 0.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``; the result maps ``(Q, *)`` to logits ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
        ValueError: if a setting is out of range.

    Differs from the paper:
        the weights start at the class means, and each step sees all rows, so nothing is random.

    Example:
        >>> net = Net(torch.nn.Identity(), {"coins": torch.nn.Linear(2, 7)})
        >>> support = Labelled(torch.tensor([[0.0, 1.0], [0.0, 3.0], [5.0, 0.0]]), torch.tensor([0, 0, 1]))
        >>> near = BaselinePlusPlus("coins")(net, support)
        >>> near(torch.tensor([[0.0, 9.0], [0.4, 0.1]])).argmax(1).tolist()
        [0, 1]

    References:
        Chen et al. (ICLR 2019), section 3.2, https://arxiv.org/abs/1904.04232
    """

    task: str
    lr: float = 0.1
    steps: int = 50
    scale: float = 10.0

    def __post_init__(self) -> None:
        check_steps(self.lr, self.steps)
        if not self.scale > 0:
            raise wrong("`scale`", expected="above 0", found=self.scale)

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the classifier as its head."""
        z = net.features(support.x, self.task)
        marks = members(support.y, z)
        directions, bias = unit(z), torch.where(marks.sum(0) > 0, 0.0, -torch.inf).to(z.dtype)

        def lower(weights: Weights) -> Tensor:
            logits = linear(directions, self.scale * unit(weights["w"]), bias)
            return cross_entropy(logits, support.y)

        alone = (marks.sum(0) == 0)[:, None]  # a class without rows has no direction
        start = {"w": unit(class_means(z, marks) + alone)}
        *_, last = descend(lower, start, self._move, self.steps, first_order=False)
        weight = self.scale * unit(last["w"])
        head = Sphere(z.shape[1], marks.shape[1])
        centre = torch.zeros_like(z[0])
        return with_head(net, self.task, head, {"centre": centre, "weight": weight, "bias": bias})

    def _move(self, step: int, name: str, weight: Tensor, gradient: Tensor) -> Tensor:
        return weight.sub(gradient, alpha=self.lr)
