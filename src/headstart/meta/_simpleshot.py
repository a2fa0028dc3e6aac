"""SimpleShot: nearest class mean of features that were centred and brought to one length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..maths import unit
from ..models import Adapted, Net
from ..models.heads import Sphere
from ..tasks import Labelled
from ._members import class_means, members, with_head


@final
class SimpleShot(nn.Module):
    r"""Classify by the nearest class mean of features of length 1, seen from the mean of known classes.

    .. math:: \hat z = \frac{z - m}{\lVert z - m \rVert}, \qquad \arg\min_k \lVert \hat z - c_k \rVert

    Needs no episodes: any net that was trained on many classes serves, with the mean :math:`m` of its
    features over those classes' rows.

    Args:
        task: the head that the means replace.
        centre: :math:`m` ``(D,)``, as of ``net.features(rows).mean(0)``; the support set's own mean where it
            is left out.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``; the result maps ``(Q, *)`` to logits ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
        ValueError: if ``centre`` is no vector of numbers.

    Differs from the paper:
        logits are minus squared distances, up to a term that is the same for every class.

    Example:
        >>> net = Net(nn.Identity(), {"coins": nn.Linear(2, 7)})
        >>> support = Labelled(torch.tensor([[0.0, 1.0], [0.0, 3.0], [5.0, 0.0]]), torch.tensor([0, 0, 1]))
        >>> near = SimpleShot("coins", torch.zeros(2))(net, support)
        >>> near(torch.tensor([[0.0, 9.0], [0.4, 0.1]])).argmax(1).tolist()
        [0, 1]

    References:
        Wang et al. (2019), "CL2N", https://arxiv.org/abs/1911.04623
    """

    centre: Tensor | None

    def __init__(self, task: str, centre: Tensor | None = None) -> None:
        super().__init__()
        if centre is not None and (centre.ndim != 1 or not centre.isfinite().all()):
            raise wrong("`centre`", expected="a vector of numbers (D,)", found=f"shape {tuple(centre.shape)}")
        self.task = task
        self.register_buffer("centre", None if centre is None else centre.detach().clone())
        self.settings: Mapping[str, Any] = {"task": task}

    def forward(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the class means as its head."""
        z = net.features(support.x, self.task)
        marks = members(support.y, z)
        centre = z.mean(0) if self.centre is None else self.centre.to(z)
        means = class_means(unit(z - centre), marks)
        bias = torch.where(marks.sum(0) > 0, -means.square().sum(1), -torch.inf)
        head = Sphere(z.shape[1], marks.shape[1])
        return with_head(net, self.task, head, {"centre": centre, "weight": 2 * means, "bias": bias})
