"""Prototypes on the sphere: the class mean of the nearest direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from ..errors import wrong
from ..maths import unit
from ..models import Adapted, Net
from ..models.heads import Sphere
from ..tasks import Labelled
from ._members import class_means, members, with_head


@final
@dataclass(frozen=True)
class CosineProtoNet:
    r"""Classify by the class mean whose direction is nearest: ``ProtoNet`` with cosines for distances.

    .. math:: \text{logit}_k(z) = s \cos(z, c_k)

    Better than distances where the length of features says little of the class, as with nets that were
    pretrained on sentences or photographs.

    Args:
        task: the head that the means replace.
        scale: :math:`s`, above 0, as cosines alone leave probabilities flat.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``; the result maps ``(Q, *)`` to logits ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
        ValueError: if ``scale`` is not above 0.

    Differs from the paper:
        cosines are scaled; a class without rows gets minus infinity.

    Example:
        >>> import torch
        >>> net = Net(torch.nn.Identity(), {"coins": torch.nn.Linear(2, 7)})
        >>> support = Labelled(torch.tensor([[0.0, 1.0], [0.0, 3.0], [5.0, 0.0]]), torch.tensor([0, 0, 1]))
        >>> CosineProtoNet("coins")(net, support)(torch.tensor([[0.0, 9.0], [0.4, 0.1]])).argmax(1).tolist()
        [0, 1]

    References:
        Snell, Swersky & Zemel (NeurIPS 2017), section 2.6, https://arxiv.org/abs/1703.05175
    """

    task: str
    scale: float = 10.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise wrong("`scale`", expected="above 0", found=self.scale)

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the class means as its head."""
        z = net.features(support.x, self.task)
        marks = members(support.y, z)
        weight = self.scale * unit(class_means(z, marks))
        bias = torch.where(marks.sum(0) > 0, 0.0, -torch.inf).to(z.dtype)
        head = Sphere(z.shape[1], marks.shape[1])
        centre = torch.zeros_like(z[0])
        return with_head(net, self.task, head, {"centre": centre, "weight": weight, "bias": bias})
