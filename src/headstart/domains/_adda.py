"""A second backbone for the target, whose features a critic takes for the source's.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features.
"""

from __future__ import annotations

import copy
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models import Net, freeze
from ..tasks import Shift, Task
from ._sides import as_it_is, check_features, check_weight, critic


class ADDA(nn.Module):
    r"""Move a net from source to target, so that a critic takes its features for the source's.

    It is the second of two phases: the first is plain training on the source. The net of the first phase is
    kept as it is and makes the source's features; the net that trains starts from it and reads the target
    alone. Its head stays: no loss here moves it.

    .. math:: \min_D L_d(D(f_0(s)), D(f(t))), \qquad \min_f w\, \overline{-\ln D(f(t))}

    with :math:`D` the critic's probability of the source.

    Args:
        task: whose head answers.
        net: as the source has left it; a copy is kept.
        features: width ``D`` of the backbone's output, at least 1.
        hidden: width of the critic's two hidden layers, at least 1.
        weight: :math:`w`, at least 0.

    Shape:
        source rows ``(B, *)``, whose labels are not read, target rows ``(C, *)``; returns scalars
        ``domain``, which trains the critic alone, and ``fooled``, which trains the backbone alone, in nats.

    Raises:
        ValueError: if an argument is out of its range, or the backbone's features are not ``(B, D)``.

    Differs from the paper:
        critic and backbone move in one step; ``domain`` is a mean over the rows of both sides.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(nn.Linear(3, 8), {"photos": nn.Linear(8, 2)})
        >>> method = ADDA(Task("photos", Multiclass(2), rows), net, features=8)
        >>> sorted(method(net, Shift(rows, Inputs(torch.randn(5, 3))), 0.5))
        ['domain', 'fooled']

    References:
        Tzeng et al. (CVPR 2017), equation 9, https://arxiv.org/abs/1702.05464
    """

    def __init__(self, task: Task, net: Net, *, features: int, hidden: int = 64, weight: float = 1.0) -> None:
        super().__init__()
        check_weight(weight)
        self.task, self.features, self.weight = task, features, weight
        self.critic = critic(features, hidden)
        self.source = copy.deepcopy(net)
        freeze(self.source).eval()

    def train(self, mode: bool = True) -> Self:
        """Switch the critic's mode; the source's net stays as it is used."""
        super().train(mode)
        self.source.eval()
        return self

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the critic's loss on both sides, and how far it is from being fooled."""
        with torch.no_grad():
            source = self.source.features(batch.source.x, self.task.name)
        target = net.features(batch.target.x, self.task.name)
        z = torch.cat([source, target.detach()])
        check_features(z, self.features)
        side = torch.zeros(len(z), dtype=z.dtype, device=z.device)
        side[: len(source)] = 1
        fooled = as_it_is(self.critic, target)[:, 0]
        return {
            "domain": F.binary_cross_entropy_with_logits(self.critic(z)[:, 0], side),
            "fooled": self.weight * F.binary_cross_entropy_with_logits(fooled, torch.ones_like(fooled)),
        }
