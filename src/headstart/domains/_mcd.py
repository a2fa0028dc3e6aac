"""Two heads that differ as much as they can on the target.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from ..maths import ReverseGradient
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_features, check_weight, classes, guesses, ramp, sides


class MCD(nn.Module):
    r"""Learn labels on the source with two heads, and features on which they cannot differ.

    Both heads learn the source's labels, and differ as much as they can on the target, which shows rows
    that the source says little of. The reversed gradient moves these rows to where the heads agree.

    .. math:: L_y(h_1) + L_y(h_2) - \lambda_p \, \overline{\lvert p_1 - p_2 \rvert}(R_1(f_\text{target}))

    with :math:`\lambda_p` the ramp of ``DANN``, and the mean over rows and classes. The second head is the
    objective's own; the net answers with the first.

    Args:
        task: a task of one class per row, whose head is trained.
        features: width ``D`` of the backbone's output, at least 1.
        weight: the end of the ramp, at least 0.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label``,
        ``second`` (both in nats) and ``apart``, in [-``weight``, 0].

    Raises:
        ValueError: if an argument is out of its range, the task is no classification, or the backbone's
            features are not ``(B, D)``.

    Differs from the paper:
        heads and backbone move in one step through a reversed gradient; the paper takes three steps in turn,
        with several of the backbone. The second head's labels do not train the backbone. The answer is that
        of one head; the paper adds both.

    Example:
        >>> import torch
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(nn.Linear(3, 8), {"photos": nn.Linear(8, 2)})
        >>> method = MCD(Task("photos", Multiclass(2), rows), features=8)
        >>> sorted(method(net, Shift(rows, Inputs(torch.randn(5, 3))), 0.5))
        ['apart', 'label', 'second']

    References:
        Saito et al. (CVPR 2018), equations 3 to 7, https://arxiv.org/abs/1712.02560
    """

    def __init__(self, task: Task, *, features: int, weight: float = 1.0) -> None:
        super().__init__()
        check_weight(weight)
        classes(task)
        self.task, self.features, self.weight = task, features, weight
        self.second = task.kind.head(features)

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label losses of both heads on the source, and how far apart they are on the target."""
        source, target = sides(net, batch, self.task)
        check_features(source, self.features)
        head, y = partial(net.answer, task=self.task.name), batch.source.y
        turned = ReverseGradient.apply(target, 1.0)
        one, other = (guesses(self.task, h(turned)) for h in (head, self.second))
        return {
            "label": self.task.loss(head(source), y),
            "second": self.task.loss(self.second(source.detach()), y),
            "apart": -self.weight * ramp(progress) * (one - other).abs().mean(),
        }
