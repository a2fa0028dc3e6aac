"""Adversarial training that is conditioned on the predictions.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..maths import ReverseGradient
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_features, check_weight, classes, critic, guesses, ramp, sides

WIDE = 4096  # products of features and classes, from which random ones stand for them
DRAWN = 1024


class CDAN(nn.Module):
    r"""Learn labels on the source, with features that a critic who sees the predictions cannot tell apart.

    The critic of ``DANN`` is shown the products of all features and all class probabilities, so that it
    compares the classes one by one. Rows of which the net is sure count up to twice as much:

    .. math:: L_y + \sum_{\text{sides}} \frac{1}{2 \sum_i w_i} \sum_i w_i \,
        L_d(R_{\lambda_p}(f_i) \otimes p_i), \qquad w_i = 1 + e^{-H(p_i)}

    No gradient flows through the probabilities. With more than 4096 products, 1024 random ones stand
    for them: :math:`(R_f f) \odot (R_p p) / \sqrt{1024}`.

    Args:
        task: a task of one class per row, whose head is trained.
        features: width ``D`` of the backbone's output, at least 1.
        hidden: width of the critic's two hidden layers, at least 1.
        weight: the end of the ramp of :math:`\lambda_p`, at least 0; as in ``DANN`` it scales the reversed
            gradient.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label`` and
        ``domain``, both in nats.

    Raises:
        ValueError: if an argument is out of its range, the task is no classification, or the backbone's
            features are not ``(B, D)``.

    Differs from the paper:
        this is its CDAN+E. The weights are constants; in the paper a reversed gradient of the entropy
        flows through them.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(nn.Linear(3, 8), {"photos": nn.Linear(8, 2)})
        >>> method = CDAN(Task("photos", Multiclass(2), rows), features=8)
        >>> sorted(method(net, Shift(rows, Inputs(torch.randn(5, 3))), 0.5))
        ['domain', 'label']

    References:
        Long et al. (NeurIPS 2018), equations 5 to 8, https://arxiv.org/abs/1705.10667
    """

    of_features: Tensor | None
    of_classes: Tensor | None

    def __init__(self, task: Task, *, features: int, hidden: int = 64, weight: float = 1.0) -> None:
        super().__init__()
        check_weight(weight)
        self.task, self.features, self.weight = task, features, weight
        many = classes(task)
        wide = features * many > WIDE
        self.critic = critic(DRAWN if wide else features * many, hidden)
        self.register_buffer("of_features", torch.randn(DRAWN, features) if wide else None)
        self.register_buffer("of_classes", torch.randn(DRAWN, many) if wide else None)

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the critic's loss on both sides."""
        source, target = sides(net, batch, self.task)
        check_features(source, self.features)
        head = partial(net.answer, task=self.task.name)
        outputs = head(source)
        p = torch.cat([guesses(self.task, z).detach() for z in (outputs, head(target))])
        z = ReverseGradient.apply(torch.cat([source, target]), self.weight * ramp(progress))
        logits = self.critic(self.products(z, p))[:, 0]
        sure = 1 + torch.special.entr(p).sum(1).neg().exp()
        parts = []
        for part, side in ((slice(None, len(source)), 1.0), (slice(len(source), None), 0.0)):
            loss = F.binary_cross_entropy_with_logits(
                logits[part], torch.full_like(logits[part], side), sure[part], reduction="sum"
            )
            parts.append(loss / sure[part].sum())
        label = self.task.loss(outputs, batch.source.y)
        return {"label": label, "domain": (parts[0] + parts[1]) / 2}

    def products(self, z: Tensor, p: Tensor) -> Tensor:
        """Multiply features ``(N, D)`` and probabilities ``(N, K)``: all, ``(N, D K)``, or random ones."""
        if self.of_features is None or self.of_classes is None:
            return (z[:, :, None] * p[:, None]).flatten(1)
        return (z @ self.of_features.T) * (p @ self.of_classes.T) / DRAWN**0.5
