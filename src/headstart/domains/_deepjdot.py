"""Optimal transport of features and labels together.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..errors import wrong
from ..maths import squared_distances
from ..models import Net
from ..tasks import Shift, Task
from ._sides import check_weight, classes, guesses, sides


def plan(cost: Tensor) -> Tensor:
    """Give the plan of least cost between rows that count alike, ``(B, C)``, of sum 1; POT solves it.

    Raises:
        ModuleNotFoundError: where POT is not installed.
    """
    try:
        import ot
    except ModuleNotFoundError:
        hint = 'pip install "headstart[ot]"'
        raise wrong(
            "`DeepJDOT`", expected="with POT", found="none", hint=hint, error=ModuleNotFoundError
        ) from None
    found = ot.emd([], [], cost.detach().double().cpu().numpy())
    return torch.as_tensor(found, dtype=cost.dtype, device=cost.device)


@dataclass(frozen=True, eq=False)
class DeepJDOT:
    r"""Learn labels on the source, and carry features and labels together to the target at least cost.

    Each batch is matched anew by the plan :math:`\gamma` of least cost; then features and predictions move to
    what they are matched with:

    .. math:: L_y + w \sum_{ij} \gamma_{ij} \Bigl( \alpha \lVert s_i - t_j \rVert^2
        - \ln p_{y_i}(t_j) \Bigr)

    Args:
        task: a task of one class per row, whose head is trained.
        weight: :math:`w`, unit-less, at least 0.
        alpha: :math:`\alpha`, above 0, nats per squared unit of the features.

    Shape:
        source rows ``(B, *)`` with labels, target rows ``(C, *)`` without; returns scalars ``label`` and
        ``transport``, both in nats.

    Raises:
        ValueError: if an argument is out of its range, or the task is no classification.
        ModuleNotFoundError: where POT is not installed (``headstart[ot]``).

    Differs from the paper:
        the loss on the source and the transported one have weights 1 and ``weight``.

    Example:
        >>> from headstart.tasks import Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> DeepJDOT(Task("photos", Multiclass(2), rows)).alpha
        0.001

    References:
        Damodaran et al. (ECCV 2018), equation 6, https://arxiv.org/abs/1803.10081
    """

    task: Task
    weight: float = 0.1
    alpha: float = 1e-3

    def __post_init__(self) -> None:
        check_weight(self.weight)
        classes(self.task)
        if not 0 < self.alpha < math.inf:
            raise wrong("`alpha`", expected="above 0 and finite", found=self.alpha)

    def __call__(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on the source and the weighted cost of the plan."""
        source, target = sides(net, batch, self.task)
        head = partial(net.answer, task=self.task.name)
        label = self.task.loss(head(source), batch.source.y)
        there = batch.source.present()
        p = guesses(self.task, head(target)).clamp(min=torch.finfo(target.dtype).tiny)  # (C, K)
        apart = squared_distances(source.flatten(1)[there], target.flatten(1))
        cost = self.alpha * apart - p.log().T[self.task.kind.numbers(batch.source.y[there])]
        return {"label": label, "transport": self.weight * (plan(cost) * cost).sum()}
