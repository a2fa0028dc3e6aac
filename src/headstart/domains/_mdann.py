"""Domain-adversarial training with several sources.

Shapes: ``B`` source rows of ``S`` sources, ``C`` target rows, ``D`` features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import wrong
from ..maths import ReverseGradient
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_features, check_weight, critic, ramp, sides


class MultiDANN(nn.Module):
    r"""Learn labels on several sources, with features by which a critic cannot tell any two domains apart.

    As ``DANN``, with a critic that names the domain: one of the sources, or the target. So the sources are
    brought together as well, where ``DANN`` takes them for one.

    Args:
        task: the task whose head is trained.
        features: width ``D`` of the backbone's output, at least 1.
        sources: how many there are, at least 1.
        hidden: width of the critic's two hidden layers, at least 1.
        weight: the end of the ramp, as of ``DANN``.

    Shape:
        source rows ``(B, *)`` with labels and ``group``, the number of their source in [0, S); target rows
        ``(C, *)`` without; returns scalars ``label`` (unit of the task's kind) and ``domain`` (nats per row;
        near :math:`\ln (S + 1)` the critic is lost).

    Raises:
        ValueError: if an argument is out of its range, rows do not say their source, or the backbone's
            features are not ``(B, D)``.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]), group=torch.tensor([0, 0, 1, 1]))
        >>> net = Net(nn.Linear(3, 8), {"photos": nn.Linear(8, 2)})
        >>> method = MultiDANN(Task("photos", Multiclass(2), rows), features=8, sources=2)
        >>> sorted(method(net, Shift(rows, Inputs(torch.randn(5, 3))), 0.5))
        ['domain', 'label']

    References:
        Ganin et al. (JMLR 2016), section 5.2.2, https://arxiv.org/abs/1505.07818; with one class for each
        domain: Gulrajani & Lopez-Paz (ICLR 2021), appendix D, https://arxiv.org/abs/2007.01434
    """

    def __init__(
        self, task: Task, *, features: int, sources: int, hidden: int = 64, weight: float = 1.0
    ) -> None:
        super().__init__()
        check_weight(weight)
        if sources < 1:
            raise wrong("`sources`", expected="at least 1", found=sources)
        self.task, self.features, self.sources, self.weight = task, features, sources, weight
        self.critic = critic(features, hidden, sources + 1)

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the sources and the critic's loss on all domains."""
        group = batch.source.group
        if group is None or int(group.max()) >= self.sources:
            found = "none" if group is None else f"one of number {int(group.max())}"
            raise wrong("`group` of source rows", expected=f"a source below {self.sources}", found=found)
        source, target = sides(net, batch, self.task)
        z = torch.cat([source, target])
        check_features(z, self.features)
        logits = self.critic(ReverseGradient.apply(z, self.weight * ramp(progress)))
        domain = torch.cat([group, group.new_full((len(target),), self.sources)])
        label = self.task.loss(net.head(self.task.name)(source), batch.source.y)
        return {"label": label, "domain": F.cross_entropy(logits, domain)}
