"""Relation networks: rows are compared with classes by a learned network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from torch import nn

from ..models import Adapted, Net
from ..models.heads import Relations
from ..tasks import Labelled
from ._members import class_means, members, with_head


@final
class Relation(nn.Module):
    r"""Score each pair of a query and a class mean by a network that is learned with the features.

    .. math:: \text{logit}_k(z) = g_\phi([z, c_k])

    It needs meta-training: before it, the comparison is random.

    Args:
        task: the head that is replaced.
        width: features ``D`` of a row.
        hidden: units of :math:`g`, at least 1.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``; the result maps ``(Q, *)`` to logits ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.

    Differs from the paper:
        pairs are of feature vectors rather than of maps, class means rather than sums, and scores are logits
        of a softmax rather than compared with 0 and 1.

    Example:
        >>> import torch
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> Relation("coins", 8)(net, support)(torch.randn(5, 4)).shape
        torch.Size([5, 2])

    References:
        Sung et al. (CVPR 2018), equation 1, https://arxiv.org/abs/1711.06025
    """

    def __init__(self, task: str, width: int, hidden: int = 64) -> None:
        super().__init__()
        self.task = task
        self.inner, self.outer = nn.Linear(2 * width, hidden), nn.Linear(hidden, 1)
        self.settings: Mapping[str, Any] = {"task": task, "width": width, "hidden": hidden}

    def forward(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the class means and the comparison as its head."""
        z = net.features(support.x, self.task)
        means = class_means(z, members(support.y, z))
        learned = {
            "inner": self.inner.weight,
            "inner_bias": self.inner.bias,
            "outer": self.outer.weight,
            "outer_bias": self.outer.bias,
        }
        head = Relations(z.shape[1], len(means), len(self.inner.bias))
        return with_head(net, self.task, head, {"means": means, **learned})
