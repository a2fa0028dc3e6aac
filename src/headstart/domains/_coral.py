"""Matching of the covariances of features.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_weight, sides


def covariance_gap(a: Tensor, b: Tensor) -> Tensor:
    r"""Measure the squared Frobenius distance of the covariances of two sets of rows, ``()``.

    Where there are fewer rows than features, no covariance is formed: with the centred rows of both sets in
    :math:`Z`, each over the root of its rows less one, and :math:`s` 1 for the first and -1 for the second,

    .. math:: \lVert Z^\top \operatorname{diag}(s)\, Z \rVert_F^2 = \sum_{ij} s_i s_j (z_i \cdot z_j)^2
    """
    a, b = ((side - side.mean(0)) / (len(side) - 1) ** 0.5 for side in (a, b))
    if len(a) + len(b) >= a.shape[1]:
        return (a.T @ a - b.T @ b).square().sum()
    z = torch.cat([a, b])
    sign = torch.cat([a.new_ones(len(a)), b.new_full((len(b),), -1)])
    return (sign @ (z @ z.T).square() @ sign).clamp(min=0)


@dataclass(frozen=True, eq=False)
class CORAL:
    r"""Learn labels on the source, with features whose covariances agree on source and target.

    .. math:: \frac{w}{4 D^2} \lVert C_S - C_T \rVert_F^2

    The means are not compared. Source and target pass through the backbone one after the other.

    Args:
        task: the task whose head is trained.
        weight: :math:`w`, in units of the features to the power of -4, at least 0.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without, at least two each; returns
        scalars ``label`` (unit of the task's kind) and ``coral``.

    Raises:
        ValueError: if the weight is out of its range, or a side has one row.

    Differs from the paper:
        one layer is matched, that of the features; the paper takes the outputs of the last layer.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"photos": torch.nn.Linear(8, 2)})
        >>> method = CORAL(Task("photos", Multiclass(2), rows))
        >>> method(net, Shift(rows, rows.inputs()), 0.5)["coral"].item() < 1e-6
        True

    References:
        Sun & Saenko (ECCV workshops 2016), equation 1, https://arxiv.org/abs/1607.01719
    """

    task: Task
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_weight(self.weight)

    def __call__(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the weighted distance of the covariances."""
        source, target = sides(net, batch, self.task)
        if min(len(source), len(target)) < 2:
            found = f"{len(source)} and {len(target)}"
            raise wrong("rows of source and target", expected="at least 2 each", found=found)
        label = self.task.loss(net.answer(source, self.task.name), batch.source.y)
        source, target = source.flatten(1), target.flatten(1)
        scale = self.weight / (4 * source.shape[1] ** 2)
        return {"label": label, "coral": scale * covariance_gap(source, target)}
