"""Supervised contrastive learning: rows of one class lie together, others apart.

Shapes: ``B`` rows, ``D`` features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import wrong
from ..maths import unit
from ..models import Net
from ..tasks import Labelled, Task


@dataclass(frozen=True, eq=False)
class SupCon:
    r"""Pull the features of rows of one class together, away from those of all others.

    With :math:`z_i` the features of row ``i``, scaled to length 1, :math:`P(i)` the other rows of its class
    in the batch, and :math:`A(i)` all other rows:

    .. math:: L = \frac{1}{B} \sum_i \frac{-1}{|P(i)|} \sum_{p \in P(i)}
        \log \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{a \in A(i)} \exp(z_i \cdot z_a / \tau)}

    Rows without another of their class are no anchors, but others are told apart from them: give batches of
    ``pairs``. The head is not trained.

    Args:
        task: whose rows; of one class each.
        temperature: :math:`\tau`, above 0; the paper's is 0.1 (ImageNet) or 0.5 (CIFAR).

    Shape:
        rows ``x (B, *)``, ``y (B,)`` by task name; returns one scalar in nats per row, under the task's name,
        and nothing where no row has another of its class.

    Raises:
        ValueError: if the temperature is not above 0, or the task has no classes that exclude one another.

    Differs from the paper:
        features of the backbone are used as they are, without a projection that is dropped afterwards, as
        sentence encoders are tuned; views of a row are what the caller's batches and dropout make them.

    Example:
        >>> from torch import nn
        >>> from headstart.tasks import Multiclass
        >>> x, y = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> task = Task("a", Multiclass(2), Labelled(x, y))
        >>> net = Net(nn.Identity(), {"a": nn.Linear(2, 2)})
        >>> near, far = ({"a": Labelled(x, y)}, {"a": Labelled(x, y.sort().values)})
        >>> loss = SupCon(task)
        >>> bool(loss(net, near, 0.0)["a"] < loss(net, far, 0.0)["a"])
        True

    References:
        Khosla et al. (NeurIPS 2020), equation 2, https://arxiv.org/abs/2004.11362;
        for few labels and sentence encoders: Tunstall et al. (2022), https://arxiv.org/abs/2209.11055
    """

    task: Task
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise wrong("`temperature`", expected="above 0 and finite", found=self.temperature)
        if not self.task.kind.exclusive:
            raise wrong(
                f"task {self.task.name!r}", expected="one class per row", found=self.task.kind.describe()
            )

    def __call__(self, net: Net, batch: Mapping[str, Labelled], progress: float) -> dict[str, Tensor]:
        """Return the loss of the task's rows."""
        if self.task.name not in batch:
            return {}
        rows = batch[self.task.name].known()
        y = self.task.kind.numbers(rows.y)
        same = (y[:, None] == y).fill_diagonal_(False)
        anchors = same.any(1)
        if not bool(anchors.any()):
            return {}
        z = unit(net.features(rows.x, self.task.name))
        others = (z @ z.T / self.temperature).masked_fill(
            torch.eye(len(z), device=z.device).bool(), -torch.inf
        )
        away = others.log_softmax(1).masked_fill(~same, 0.0).sum(1)
        return {self.task.name: (-away[anchors] / same[anchors].sum(1)).mean()}
