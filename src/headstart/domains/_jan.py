"""Matching of the joint distribution of features and predictions.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..maths import gaussian, squared_distances
from ..maths.discrepancy import BANDWIDTHS, median_distance, signs
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_weight, classes, guesses, sides


def joint_discrepancy(*layers: tuple[Tensor, Tensor, Sequence[float]]) -> Tensor:
    r"""Measure the squared discrepancy under the product of the layers' kernels, ``()``.

    Args:
        layers: rows of both sets, ``(B, *)`` and ``(C, *)``, and the bandwidths of the layer's kernel, in
            median squared distances of its own.
    """
    sign = signs(*layers[0][:2])
    kernel = torch.ones_like(sign)
    for a, b, bandwidths in layers:
        distances = squared_distances(torch.cat([a, b]))
        median = median_distance(distances)
        kernel = kernel * gaussian(distances, [median * m for m in bandwidths])
    return (sign @ kernel @ sign).clamp(min=0)


@dataclass(frozen=True, eq=False)
class JAN:
    r"""Learn labels on the source, with features and predictions that are jointly distributed alike.

    The discrepancy of ``MMD``, with the product of two kernels: five Gaussians of the features, and one of
    the class probabilities. Two rows are alike where both are.

    .. math:: w \, \widehat{\text{MMD}}{}^2, \qquad k = k_f(f_i, f_j)\, k_p(p_i, p_j)

    It is in [0, 2 w]. Source and target pass through the backbone one after the other.

    Args:
        task: a task of one class per row, whose head is trained.
        weight: :math:`w`, unit-less, at least 0.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label`` (nats)
        and ``jmmd``.

    Raises:
        ValueError: if the weight is out of its range, or the task is no classification.

    Differs from the paper:
        the statistic is the biased one of quadratic cost; bandwidths are in medians of each batch.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"photos": torch.nn.Linear(8, 2)})
        >>> method = JAN(Task("photos", Multiclass(2), rows))
        >>> method(net, Shift(rows, rows.inputs()), 0.5)["jmmd"].item() < 1e-5
        True

    References:
        Long et al. (ICML 2017), equation 9, https://arxiv.org/abs/1605.06636
    """

    task: Task
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_weight(self.weight)
        classes(self.task)

    def __call__(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the weighted joint discrepancy."""
        source, target = sides(net, batch, self.task)
        head = partial(net.answer, task=self.task.name)
        outputs = head(source)
        gap = joint_discrepancy(
            (source.flatten(1), target.flatten(1), BANDWIDTHS),
            (guesses(self.task, outputs), guesses(self.task, head(target)), (1.0,)),
        )
        return {"label": self.task.loss(outputs, batch.source.y), "jmmd": self.weight * gap}
