"""Prototypical networks: the nearest class mean, as the linear head that it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..errors import wrong
from ..models import Adapted, Net
from ..tasks import Labelled


class _Members(torch.autograd.Function):
    """One-hot rows with as many classes as the labels show, over all episodes where there are several."""

    @staticmethod
    def forward(y: Tensor) -> Tensor:
        return one_hot(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], y: Tensor) -> tuple[Tensor, int]:
        return _Members.apply(y.movedim(in_dims[0], 0)), 0


@final
@dataclass(frozen=True)
class ProtoNet:
    r"""Classify by the nearest class mean in feature space; nothing to tune, no gradient step.

    With the mean :math:`c_k` of the features of class :math:`k`, the squared distance is linear in
    the features :math:`z` up to a term that is the same for every class, so the classifier is a head:

    .. math:: -\|z - c_k\|^2 = 2 c_k^\top z - \|c_k\|^2 - \|z\|^2, \qquad W_k = 2 c_k,\; b_k = -\|c_k\|^2

    There are as many classes as the largest label says; a class without rows is never predicted.

    Args:
        task: the head that the means replace, a linear layer of any number of outputs.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``; the result maps ``(Q, *)`` to logits ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
        TypeError: if the head is not a linear layer with a bias.

    Example:
        >>> from headstart.models import Net
        >>> net = Net(torch.nn.Identity(), {"coins": torch.nn.Linear(2, 7)})
        >>> support = Labelled(torch.tensor([[0.0, 0.0], [0.0, 2.0], [5.0, 5.0]]), torch.tensor([0, 0, 1]))
        >>> ProtoNet("coins")(net, support)(torch.tensor([[0.0, 1.0], [4.0, 4.0]])).argmax(1).tolist()
        [0, 1]

    References:
        Snell, Swersky & Zemel (NeurIPS 2017), algorithm 1 and section 2.4, https://arxiv.org/abs/1703.05175
    """

    task: str

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the class means as its head."""
        head = net.head(self.task)
        if not isinstance(head, nn.Linear) or head.bias is None:
            raise wrong(
                f"head {self.task!r}",
                expected="a linear layer with a bias",
                found=type(head).__name__,
                error=TypeError,
            )
        z = net.features(support.x, self.task)  # (S, D)
        members = _Members.apply(support.y).to(z.dtype)  # (S, N)
        counts = members.sum(0)  # (N,)
        means = members.T @ z / counts.clamp(min=1)[:, None]  # (N, D)
        bias = torch.where(counts > 0, -means.square().sum(1), -torch.inf)
        return Adapted(
            net, self.task, {f"heads.{self.task}.weight": 2 * means, f"heads.{self.task}.bias": bias}
        )
