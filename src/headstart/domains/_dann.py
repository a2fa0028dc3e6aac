"""Domain-adversarial training.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..maths import ReverseGradient
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_features, check_weight, critic, ramp, sides


class DANN(nn.Module):
    r"""Learn labels on the source, with features by which a critic cannot tell source from target.

    The critic learns to tell the domains apart; the reversed gradient of its loss, times
    :math:`\lambda_p`, trains the backbone to prevent it. :math:`\lambda_p` grows with the progress
    ``p`` of the run, so that a young critic's noise does no harm. The critic itself learns at full
    strength throughout.

    .. math:: L_y(f_\text{source}) + L_d(R_{\lambda_p}(f)), \qquad
        \lambda_p = w \left( \frac{2}{1 + e^{-10 p}} - 1 \right)

    Source and target pass through the backbone one after the other, so a batch-normalisation layer
    normalises each by its own statistics, and its running statistics follow both.

    With as many rows on both sides, a ``domain`` near :math:`\ln 2 = 0.693` says that the critic is
    lost; near 0, that the domains are still apart.

    Args:
        task: the task whose head is trained.
        features: width ``D`` of the backbone's output, at least 1.
        hidden: width of the critic's two hidden layers, at least 1.
        weight: :math:`w`, unit-less, at least 0; the end of the ramp. It scales the reversed gradient,
            not the value of ``domain``.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label``
        (unit of the task's kind) and ``domain`` (nats per row).

    Raises:
        ValueError: if an argument is out of its range, or the backbone's features are not ``(B, D)``.

    Differs from the paper:
        ``domain`` is the mean over the rows of both sides (equation 9 adds the mean of each, which is
        twice as much for equal sides); the critic has two hidden layers for every kind of input (the
        paper: none to two); the paper puts both domains into one pass.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(nn.Linear(3, 8), {"photos": nn.Linear(8, 2)})
        >>> method = DANN(Task("photos", Multiclass(2), rows), features=8)
        >>> sorted(method(net, Shift(rows, Inputs(torch.randn(5, 3))), 0.5))
        ['domain', 'label']

    References:
        Ganin et al. (JMLR 2016), algorithm 1, section 5.2.2, https://arxiv.org/abs/1505.07818
    """

    def __init__(self, task: Task, *, features: int, hidden: int = 64, weight: float = 1.0) -> None:
        super().__init__()
        check_weight(weight)
        self.task, self.features, self.weight = task, features, weight
        self.critic = critic(features, hidden)

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the critic's loss on both."""
        source, target = sides(net, batch, self.task)
        label = self.task.loss(net.answer(source, self.task.name), batch.source.y)
        z = torch.cat([source, target])  # (B + C, D)
        check_features(z, self.features)
        logits = self.critic(ReverseGradient.apply(z, self.weight * ramp(progress)))[:, 0]
        side = torch.zeros_like(logits)
        side[: len(source)] = 1
        return {"label": label, "domain": F.binary_cross_entropy_with_logits(logits, side)}
