"""Prototypical networks: the nearest class mean, as the linear head that it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from ..models import Adapted, Net
from ..tasks import Labelled
from ._members import class_means, linear_head, members, with_linear


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
        >>> import torch
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
        linear_head(net, self.task)
        z = net.features(support.x, self.task)  # (S, D)
        marks = members(support.y, z)  # (S, N)
        # Measured from the middle `m` of the support set, as features far from 0 cancel: the same up to
        # `2 m z - |m|^2`, which is alike for every class.
        middle = z.detach().mean(0)
        means = class_means(z - middle, marks)  # (N, D)
        bias = torch.where(marks.sum(0) > 0, -(means * (means + 2 * middle)).sum(1), -torch.inf)
        return with_linear(net, self.task, 2 * means, bias)
