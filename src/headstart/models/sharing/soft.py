"""An encoder for each task, held together by what their weights cost.

Shapes: ``K`` tasks, ``p`` numbers of one weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from ...errors import unknown, wrong
from ...tasks import X
from .pattern import Both, Pattern, one_width


def to_mean(weights: Tensor) -> Tensor:
    r"""Sum the squared distances of each task's weights to their mean, :math:`\sum_k |w_k - \bar w|^2`."""
    return (weights - weights.mean(0)).square().sum()


def pairwise(weights: Tensor) -> Tensor:
    r"""Sum the squared distances of each pair of tasks, :math:`\sum_{k < l} |w_k - w_l|^2`."""
    return len(weights) * to_mean(weights)  # the same number by the parallelogram law


def trace_norm(weights: Tensor) -> Tensor:
    r"""Sum the singular values of the tasks' weights :math:`W`, which is small where they are of low rank."""
    return torch.linalg.matrix_norm(weights, "nuc")


def l21(weights: Tensor) -> Tensor:
    r"""Sum the lengths over the tasks, :math:`\sum_j |W_{\cdot j}|`: a number goes in all or none."""
    return torch.linalg.vector_norm(weights, dim=0).sum()


TIES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": to_mean, "pairs": pairwise, "trace": trace_norm, "l21": l21,
}  # fmt: skip


@final
class Soft(Pattern):
    r"""Give each task an encoder of its own, and let their weights cost what sets them apart.

    Every weight that all encoders have in the same shape is laid out with a row for each task,
    :math:`W \in \mathbb{R}^{K \times p}`. The sum of a penalty over these weights is a loss of the net's own,
    ``distance``, beside those of the tasks:

    .. math:: \lambda \sum_{W} \Omega(W), \qquad \Omega = \sum_k |w_k - \bar w|^2,\;
        \sum_{k<l} |w_k - w_l|^2,\; |W|_*,\; |W|_{2,1}

    Encoders may read different rows: those of tables with other columns part at the first layer alone, and
    weights of other shapes are not held together.

    Args:
        encoders: by task, of one width.
        tie: ``"mean"`` or ``"pairs"`` pull the tasks' weights together; ``"trace"`` (the sum of singular
            values) leaves few directions that they differ in; ``"l21"`` takes numbers out for all alike.
        weight: :math:`\lambda`, at least 0, per squared unit of weight (``"mean"``, ``"pairs"``) or per unit.
        x: one row or more, for encoders that do not tell their width; rows that all of them take.
        placed: by task with an answer at each place of a row (token, pixel), the features at a place.

    Shape:
        rows ``(B, *)`` as the task's encoder takes them, to ``(B, D)``; to ``(B, *, D)``, what the encoder's
        ``places`` gives, for the tasks in ``placed``.

    Raises:
        ValueError: if widths differ, no weight has the same shape in all encoders, ``tie`` is not known, or
            ``weight`` is below 0.

    Differs from the papers:
        Duong et al. hold two parsers together, Evgeniou & Pontil and Argyriou et al. linear models; here it
        is every weight of a network, as in Yang & Hospedales for the trace norm.

    Example:
        >>> from headstart.models import Net, mlp
        >>> soft = Soft({"a": mlp(3, hidden=[8]), "b": mlp(5, hidden=[8])}, weight=0.1)
        >>> net = Net(soft, {"a": nn.Linear(8, 2), "b": nn.Linear(8, 1)})
        >>> net(torch.zeros(4, 3), "a").shape, net(torch.zeros(4, 5), "b").shape
        (torch.Size([4, 2]), torch.Size([4, 1]))

    References:
        Evgeniou & Pontil (KDD 2004), https://doi.org/10.1145/1014052.1014067
        Duong et al. (ACL 2015), https://aclanthology.org/P15-2139
        Argyriou, Evgeniou & Pontil (Machine Learning 2008), https://doi.org/10.1007/s10994-007-5040-8
        Yang & Hospedales (ICLR 2017 workshop), https://arxiv.org/abs/1606.04038
    """

    name = "multitask:soft"

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        *,
        tie: str = "mean",
        weight: float = 0.1,
        x: X | None = None,
        placed: Mapping[str, int] | None = None,
    ) -> None:
        placed = dict(placed or {})
        about = {"encoders": dict(encoders), "tie": tie, "weight": weight, "placed": placed}
        super().__init__(about, list(encoders))
        for task in placed:
            self.check(task)
        self.placed = placed
        if tie not in TIES:
            raise unknown("`tie`", tie, TIES)
        if not 0 <= weight < float("inf"):
            raise wrong("`weight`", expected="at least 0 and finite", found=weight)
        self.width = one_width(encoders, x)
        self.encoders, self.tie, self.weight = nn.ModuleDict(dict(encoders)), tie, weight
        self.tied = _alike_in_all(encoders)

    def several(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the features of each task's encoder."""
        return {task: self._read(self.encoders[task], x, task) for task in tasks}

    def _read(self, encoder: nn.Module, x: X, task: str) -> Tensor:
        found: Tensor = encoder.places(x) if task in self.placed else encoder(x)  # type: ignore[operator]
        return found

    def width_for(self, task: str) -> int:
        """Tell the features ``D`` per row of a task, or at each place."""
        return self.placed.get(task, super().width_for(task))

    def together(self, x: Mapping[str, X], progress: float) -> Both:
        """Return the features, and ``distance``."""
        features, _ = super().together(x, progress)
        return features, {"distance": self.weight * self.distance()}

    def distance(self) -> Tensor:
        """Return what the weights cost, before it is weighed."""
        named = [dict(self.encoders[task].named_parameters()) for task in self.tasks]
        stacked = (torch.stack([each[name].flatten() for each in named]) for name in self.tied)
        return torch.stack([TIES[self.tie](weights) for weights in stacked]).sum()

    def alone(self, task: str) -> nn.Module:
        """Give the task's encoder."""
        self.check(task)
        return self.encoders[task]

    def private(self) -> list[nn.Module]:
        """List the encoders."""
        return [self.encoders[task] for task in self.tasks]


def _alike_in_all(encoders: Mapping[str, nn.Module]) -> list[str]:
    """Name the weights of the same shape in all encoders, or say where the shapes part."""
    shapes = [{n: tuple(p.shape) for n, p in each.named_parameters()} for each in encoders.values()]
    tied = [name for name, shape in shapes[0].items() if all(each.get(name) == shape for each in shapes)]
    if not tied:
        name = next(iter(shapes[0]), "nothing")
        found = ", ".join(
            f"{each.get(name)} of {task!r}" for task, each in zip(encoders, shapes, strict=True)
        )
        expected = "some weight of one shape in all of them"
        raise wrong("encoders of Soft", expected=expected, found=f"`{name}`: {found}")
    return tied
