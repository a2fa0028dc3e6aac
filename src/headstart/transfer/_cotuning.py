"""Keep the source's head while a net learns other classes: they are taught by how the label sets relate.

Shapes: ``n`` rows, ``B`` rows of a batch, ``S`` classes of the source, ``C`` of the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Labelled, Task
from ..tasks.kinds import known
from ._supervised import Supervised


def relation(probabilities: Tensor, y: Tensor, classes: int) -> Tensor:
    r"""Tell how likely each class of the source is, where the class of the target is known.

    .. math:: p(s \mid c) = \frac{1}{n_c} \sum_{i: y_i = c} p_0(s \mid x_i)

    Args:
        probabilities: what the pretrained net says of the target's rows, with its source's head.
        y: their classes of the target; -100 where missing.
        classes: of the target; one without rows is related to all alike.

    Shape:
        ``(n, S)`` and ``(n,)`` to ``(C, S)``, whose rows sum to 1.

    Raises:
        ValueError: if the rows are no probabilities, or differ in number.

    Example:
        >>> relation(torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), torch.tensor([0, 0, 1]), 2).tolist()
        [[0.75, 0.25], [0.0, 1.0]]

    References:
        You et al. (NeurIPS 2020), section 3.2, the direct approach,
        https://papers.nips.cc/paper/2020/hash/c8067ad1937f728f51288b3eb986afaa-Abstract.html
    """
    sums = probabilities.sum(1)
    if (
        len(probabilities) != len(y)
        or bool((probabilities < 0).any())
        or not torch.allclose(sums, sums.new_ones(()))
    ):
        found = (
            f"{tuple(probabilities.shape)} for {len(y)} rows, sums from {sums.min():.3g} to {sums.max():.3g}"
        )
        raise wrong("`probabilities`", expected="one row that sums to 1 for each of `y`", found=found)
    there = known(y)
    found_ = probabilities.new_zeros(classes, probabilities.shape[1]).index_add(
        0, y[there], probabilities[there]
    )
    counts = y[there].bincount(minlength=classes)[:, None]
    return torch.where(counts > 0, found_ / counts.clamp(min=1), 1 / probabilities.shape[1])


@dataclass(frozen=True, eq=False)
class CoTuning:
    r"""Fine-tune the source's head along with the target's: its classes are told by those of the target.

    .. math:: L = \ell(h_t(f(x)), y) - \lambda \sum_s p(s \mid y) \log q_s(h_s(f(x)))

    So what the source's head knows is not thrown away with it, and holds the features.

    Differs from the paper:
        the relation is the mean of what the pretrained net says (its direct approach), not that of a
        logistic regression turned around, which a few rows of each class do not bear; probabilities are as
        the net gives them.

    Args:
        task: the target, of one class per row.
        source: name of the source's head in the net, with a logit for each of its classes.
        related: how likely each class of the source is for each of the target, as ``relation`` gives it.
        weight: :math:`\lambda`, at least 0.

    Shape:
        ``related (C, S)``; rows ``x (B, *)``, ``y (B,)`` by task name; returns the loss of the labels under
        the task's name, and ``cotuning``, in nats and already weighed.

    Raises:
        ValueError: if the weight is below 0, the task is not of one class per row, or ``related`` does not
            have a row for each of its classes.

    Example:
        >>> from torch import nn
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.eye(2), torch.tensor([0, 1]))
        >>> net = Net(nn.Linear(2, 2), {"new": nn.Linear(2, 2), "old": nn.Linear(2, 3)})
        >>> related = relation(net(rows.x, "old").softmax(1).detach(), rows.y, 2)
        >>> sorted(CoTuning(Task("new", Multiclass(2), rows), "old", related)(net, {"new": rows}, 0.0))
        ['cotuning', 'new']

    References:
        You et al. (NeurIPS 2020), equation 1,
        https://papers.nips.cc/paper/2020/hash/c8067ad1937f728f51288b3eb986afaa-Abstract.html
    """

    task: Task
    source: str
    related: Tensor
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise wrong("`weight`", expected="at least 0 and finite", found=self.weight)
        if not self.task.kind.exclusive:
            told = self.task.kind.describe()
            raise wrong(f"task {self.task.name!r}", expected="one class per row", found=told)
        if self.related.ndim != 2 or len(self.related) != len(self.task.kind.classes):
            expected = f"a row for each of the {len(self.task.kind.classes)} classes"
            raise wrong("`related`", expected=expected, found=f"shape {tuple(self.related.shape)}")

    def __call__(self, net: Net, batch: Mapping[str, Labelled], progress: float) -> dict[str, Tensor]:
        """Return the loss on labels and that of the source's head."""
        learned = Supervised(self.task)(net, batch, progress)
        if not learned:
            return {}
        rows = batch[self.task.name].known()
        wanted = self.related.to(rows.y.device)[self.task.kind.numbers(rows.y)]
        said = net(rows.x, self.source).log_softmax(1)
        return learned | {"cotuning": self.weight * -(wanted.to(said) * said).sum(1).mean()}
