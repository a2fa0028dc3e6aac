"""Features that grow longer, step by step.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_weight, sides


@dataclass(frozen=True, eq=False)
class AFN:
    r"""Learn labels on the source, and let the features of both sides grow longer.

    Features that are small on the target are those that say little there. Each row's length is pulled
    towards what it is now plus a step:

    .. math:: w \sum_{\text{sides}} \frac1N \sum_i
        \bigl( \lVert f_i \rVert - (\lVert f_i \rVert_\text{now} + r) \bigr)^2

    The value is always :math:`2 w r^2`; its gradient is what counts.

    Args:
        task: the task whose head is trained.
        weight: :math:`w`, at least 0, per squared unit of the features.
        step: :math:`r`, above 0, in units of the features.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label``
        (unit of the task's kind) and ``norm``.

    Raises:
        ValueError: if an argument is out of its range.

    Differs from the paper:
        this is its stepwise form; the form with one common length is left out, and so is dropout.

    Example:
        >>> import torch
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(torch.nn.Linear(3, 8), {"photos": torch.nn.Linear(8, 2)})
        >>> method = AFN(Task("photos", Multiclass(2), rows), weight=0.5)
        >>> round(method(net, Shift(rows, rows.inputs()), 0.5)["norm"].item(), 4)
        1.0

    References:
        Xu et al. (ICCV 2019), equation 6, https://arxiv.org/abs/1811.07456
    """

    task: Task
    weight: float = 0.05
    step: float = 1.0

    def __post_init__(self) -> None:
        check_weight(self.weight)
        if not 0 < self.step < math.inf:
            raise wrong("`step`", expected="above 0 and finite", found=self.step)

    def __call__(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the weighted pull on the lengths."""
        source, target = sides(net, batch, self.task)
        label = self.task.loss(net.answer(source, self.task.name), batch.source.y)
        pulls = [self._pull(side.flatten(1).norm(dim=1)) for side in (source, target)]
        return {"label": label, "norm": self.weight * (pulls[0] + pulls[1])}

    def _pull(self, lengths: Tensor) -> Tensor:
        return (lengths - (lengths.detach() + self.step)).square().mean()
