"""Matching networks: support rows vote by how much they look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from ..errors import wrong
from ..models import Adapted, Net
from ..models.heads import Attention
from ..tasks import Labelled
from ._members import members, with_head


@final
@dataclass(frozen=True)
class Matching:
    r"""Let every support row vote for its class, weighed by the softmax of its cosine to the query.

    .. math:: p(k \mid z) = \sum_{i: y_i = k} a_i, \qquad a = \operatorname{softmax}_i(s \cos(z, z_i))

    A class may be made of several groups, where ``ProtoNet`` sees its mean alone; frequent classes have more
    votes.

    Args:
        task: the head that the support rows replace.
        scale: :math:`s`, above 0; 1 is the paper's, under which probabilities stay flat.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``; the result maps ``(Q, *)`` to log probabilities
        ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
        ValueError: if ``scale`` is not above 0.

    Differs from the paper:
        cosines are scaled, and rows are embedded one by one, without the support set as their context.

    Example:
        >>> import torch
        >>> net = Net(torch.nn.Identity(), {"coins": torch.nn.Linear(2, 7)})
        >>> support = Labelled(torch.tensor([[0.0, 1.0], [0.0, 3.0], [5.0, 0.0]]), torch.tensor([0, 0, 1]))
        >>> Matching("coins")(net, support)(torch.tensor([[0.0, 9.0], [0.4, 0.1]])).argmax(1).tolist()
        [0, 1]

    References:
        Vinyals et al. (NeurIPS 2016), section 2.1, https://arxiv.org/abs/1606.04080
    """

    task: str
    scale: float = 10.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise wrong("`scale`", expected="above 0", found=self.scale)

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the support rows as its head."""
        z = net.features(support.x, self.task)
        marks = members(support.y, z)
        head = Attention(len(z), marks.shape[1], z.shape[1], self.scale)
        return with_head(net, self.task, head, {"rows": z, "members": marks})
