"""Domain-adversarial training where the target lacks some of the source's classes.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..maths import ReverseGradient
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_features, check_weight, classes, critic, guesses, ramp, sides


class PADA(nn.Module):
    r"""Learn as ``DANN`` does, with source rows weighed by how often the target is taken for their class.

    Where the target lacks some classes, plain alignment maps its rows onto them all the same. Here rows of a
    class that the net hardly ever answers on the target hardly count, for labels and for the critic.

    .. math:: \gamma = \bar p_\text{target} / \max_k \bar p_{\text{target}, k}, \qquad
        \overline{\gamma_{y_i} \ell_i} + L_d \text{ with } \gamma_{y_i} \text{ for source rows}

    Args:
        task: a task of one class per row, whose head is trained.
        features: width ``D`` of the backbone's output, at least 1.
        hidden: width of the critic's two hidden layers, at least 1.
        weight: the end of the ramp, as of ``DANN``.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label`` and
        ``domain``, in nats.

    Raises:
        ValueError: if an argument is out of its range, the task is no classification, or the backbone's
            features are not ``(B, D)``.

    Differs from the paper:
        :math:`\bar p` is that of each batch (the paper averages over the whole target now and then); the
        critic's loss is a mean over the weights of both sides.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(nn.Linear(3, 8), {"photos": nn.Linear(8, 2)})
        >>> method = PADA(Task("photos", Multiclass(2), rows), features=8)
        >>> sorted(method(net, Shift(rows, Inputs(torch.randn(5, 3))), 0.5))
        ['domain', 'label']

    References:
        Cao et al. (ECCV 2018), equations 3 and 5, https://arxiv.org/abs/1808.04205
    """

    def __init__(self, task: Task, *, features: int, hidden: int = 64, weight: float = 1.0) -> None:
        super().__init__()
        check_weight(weight)
        classes(task)
        self.task, self.features, self.weight = task, features, weight
        self.critic = critic(features, hidden)

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the weighed label loss on the source and the critic's weighed loss on both."""
        source, target = sides(net, batch, self.task)
        z = torch.cat([source, target])
        check_features(z, self.features)
        head, y = net.head(self.task.name), batch.source.y
        counts = guesses(self.task, head(target)).detach().mean(0)
        counts = counts / counts.max()
        each = counts if self.task.weights is None else counts * self.task.weights.to(counts)
        logits = self.critic(ReverseGradient.apply(z, self.weight * ramp(progress)))[:, 0]
        side = torch.zeros_like(logits)
        side[: len(source)] = 1
        weights = torch.cat([counts[self.task.kind.numbers(y)], torch.ones_like(logits[len(source) :])])
        loss = F.binary_cross_entropy_with_logits(logits, side, weights, reduction="sum") / weights.sum()
        return {"label": self.task.kind.loss(head(source), y, weights=each), "domain": loss}
