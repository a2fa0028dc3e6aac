"""Two domains whose rows have other columns, brought into one space by an encoder of each.

Shapes: ``B`` source rows, ``C`` target rows, ``L`` labelled target rows, ``D`` features.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import wrong
from ..maths import discrepancy
from ..models import Net
from ..tasks import Labelled, Shift, Task
from ._sides import check_weight


class JointSpace(nn.Module):
    r"""Learn labels in a space that both domains are brought to, each by an encoder of its own.

    The net's backbone reads the target's rows, ``source`` those of the source, which may have any other
    columns; one head answers both. The features of the two are to be distributed alike, and where target rows
    have labels these join the loss:

    .. math:: L_y(h(e_S(x_S))) + L_y(h(e_T(x_L))) + w \, \widehat{\text{MMD}}{}^2(e_S(x_S), e_T(x_T))

    Without a label of the target nothing says which class lies where: features may agree and classes be
    swapped. A handful of labels tells.

    Args:
        task: the task whose head is trained; its training rows are the source's.
        source: the source's encoder, from its rows to as many features as the backbone gives; trained too.
        labelled: rows of the target with labels, all of which are looked at in each step; ``None`` without.
        weight: :math:`w`, unit-less, at least 0.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` of another shape; returns scalars
        ``label``, ``mmd`` and, with labelled rows, ``target`` (units of the task's kind).

    Raises:
        ValueError: if the weight is out of its range, or both encoders do not give equally many features.

    Differs from the paper:
        all features are matched at once, by five kernels; the paper also matches classes one by one, by its
        own soft answers.

    Example:
        >>> import torch
        >>> from headstart.tasks import Inputs, Multiclass
        >>> rows = Labelled(torch.randn(4, 7), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(nn.Linear(3, 8), {"photos": nn.Linear(8, 2)})
        >>> method = JointSpace(Task("photos", Multiclass(2), rows), source=nn.Linear(7, 8))
        >>> sorted(method(net, Shift(rows, Inputs(torch.randn(5, 3))), 0.5))
        ['label', 'mmd']

    References:
        Yao et al. (ACM MM 2019), section 3, https://arxiv.org/abs/1908.10552
    """

    def __init__(
        self, task: Task, *, source: nn.Module, labelled: Labelled | None = None, weight: float = 0.3
    ) -> None:
        super().__init__()
        check_weight(weight)
        self.task, self.source, self.labelled, self.weight = task, source, labelled, weight

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label losses of both sides and the weighted discrepancy of their features."""
        name = self.task.name
        one, other = self.source(batch.source.x), net.features(batch.target.x, name)
        if one.flatten(1).shape[1] != other.flatten(1).shape[1]:
            found = f"{one.flatten(1).shape[1]} and {other.flatten(1).shape[1]}"
            raise wrong("features of source and target", expected="equally many", found=found)
        losses = {
            "label": self.task.loss(net.answer(one, name), batch.source.y),
            "mmd": self.weight * discrepancy(one.flatten(1), other.flatten(1)),
        }
        if self.labelled is not None:
            own = self.labelled.to(other.device)
            losses["target"] = self.task.loss(net.answer(net.features(own.x, name), name), own.y)
        return losses
