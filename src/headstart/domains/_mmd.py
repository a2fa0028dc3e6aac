"""Matching of feature distributions by the maximum mean discrepancy.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..errors import wrong
from ..maths import discrepancy
from ..maths.discrepancy import BANDWIDTHS
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_weight, sides


@dataclass(frozen=True, eq=False)
class MMD:
    r"""Learn labels on the source, with features distributed alike on source and target.

    The distance of the two mean embeddings under several Gaussian kernels at once, as a V-statistic:

    .. math:: \widehat{\text{MMD}}{}^2 = \frac{1}{B^2} \sum_{i,j} k(s_i, s_j)
        + \frac{1}{C^2} \sum_{i,j} k(t_i, t_j) - \frac{2}{BC} \sum_{i,j} k(s_i, t_j), \qquad
        k = \frac1M \sum_m e^{-d^2 / (b_m \sigma^2)}

    with :math:`\sigma^2` the median squared distance between different rows of the batch, detached.
    It is in [0, 2], at least 0 and 0 where both sides are the same rows. The weight matters: one that
    is too large collapses the features, so that the label loss rises.

    Source and target pass through the backbone one after the other, so a batch-normalisation layer
    normalises each by its own statistics, and its running statistics follow both.

    Args:
        task: the task whose head is trained.
        weight: factor of the discrepancy, unit-less, at least 0.
        bandwidths: :math:`b_m`, above 0, in median squared distances.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label``
        (unit of the task's kind) and ``mmd`` (``weight`` times the discrepancy).

    Raises:
        ValueError: if an argument is out of its range.

    Differs from the paper:
        the kernels count equally (the paper learns their weights), one layer is matched, the
        statistic is the biased one of quadratic cost, and the median is that of each batch.

    Example:
        >>> import torch
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"photos": torch.nn.Linear(8, 2)})
        >>> method = MMD(Task("photos", Multiclass(2), rows))
        >>> method(net, Shift(rows, rows.inputs()), 0.5)["mmd"].item() < 1e-5
        True

    References:
        Long et al. (ICML 2015), equation 2, https://arxiv.org/abs/1502.02791;
        Gretton et al. (JMLR 2012), equation 5, https://jmlr.org/papers/v13/gretton12a.html
    """

    task: Task
    weight: float = 1.0
    bandwidths: tuple[float, ...] = BANDWIDTHS

    def __post_init__(self) -> None:
        object.__setattr__(self, "bandwidths", tuple(self.bandwidths))
        check_weight(self.weight)
        if not self.bandwidths or not all(0 < b < math.inf for b in self.bandwidths):
            raise wrong("`bandwidths`", expected="at least one, all above 0", found=self.bandwidths)

    def __call__(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the weighted discrepancy."""
        source, target = sides(net, batch, self.task)
        label = self.task.loss(net.answer(source, self.task.name), batch.source.y)
        return {
            "label": label,
            "mmd": self.weight * discrepancy(source.flatten(1), target.flatten(1), self.bandwidths),
        }
