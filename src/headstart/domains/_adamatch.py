"""Own answers to rows as they are, as labels of the same rows much changed.

Shapes: ``B`` source rows, ``C`` target rows, ``K`` classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..maths.random import generator
from ..models import Net
from ..tasks import Shift, Task
from ..tasks.nouns import join, rows
from ._sides import TINY, check_weight, classes, guesses


class AdaMatch(nn.Module):
    r"""Learn labels on the source; on the target, to answer a changed row as the row itself.

    A batch holds each row twice: as it is, or changed a little, then changed much. What the net says of the
    target's first rows, :math:`p`, is brought to the classes' shares on the source; where it is then sure, it
    is the label of the much changed ones:

    .. math:: \tilde p_i \propto p_i \, \frac{\overline{p_\text{source}}}{\overline{p}}, \qquad
        L_y + \mu(t) \, \frac wC \sum_i [\max_k \tilde p_{ik} \ge \tau \, c]\,
        (-\ln p^\text{much}_{i \hat y_i}), \qquad \hat y_i = \arg\max_k \tilde p_{ik}

    with :math:`c` the mean of how sure the net is of the source's first rows, and
    :math:`\mu(t) = \frac12 - \frac12 \cos(\min(\pi, 2 \pi t))` over the run. Both sides pass the net
    together. With batch normalisation the source passes alone too, and each of its outputs is drawn between
    those of both passes: so the net answers under the statistics of either.

    Args:
        task: a task of one class per row, whose head is trained.
        weight: :math:`w`, at least 0.
        threshold: :math:`\tau`, above 0 and at most 1.
        seed: of the draws between two passes.

    Shape:
        source rows ``(2B, *)`` with labels, target rows ``(2C, *)`` without: the second half of each is the
        first, changed much. Returns scalars ``label`` and ``match``, both in nats.

    Raises:
        ValueError: if an argument is out of its range, the task is no classification, or a side has an odd
            number of rows.

    Differs from the paper:
        a net without batch normalisation is spared the second pass, which would say the same.

    Example:
        >>> from headstart.tasks import Inputs, Labelled, Multiclass
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(nn.Linear(3, 8), {"photos": nn.Linear(8, 2)})
        >>> method = AdaMatch(Task("photos", Multiclass(2), rows))
        >>> method(net, Shift(rows, Inputs(torch.randn(6, 3))), 0.0)["match"].item()  # no answer counts yet
        0.0

    References:
        Berthelot et al. (ICLR 2022), AdaMatch, section 3, https://arxiv.org/abs/2106.04732; for one domain:
        Sohn et al. (NeurIPS 2020), FixMatch, https://arxiv.org/abs/2001.07685
    """

    def __init__(self, task: Task, *, weight: float = 1.0, threshold: float = 0.9, seed: int = 0) -> None:
        super().__init__()
        check_weight(weight)
        classes(task)
        if not 0 < threshold <= 1:
            raise wrong("`threshold`", expected="above 0 and at most 1", found=threshold)
        self.task, self.weight, self.threshold, self.seed = task, weight, threshold, seed
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.steps: Tensor

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the label loss on both views of the source, and that of own answers on the target."""
        here, there = _half(batch, "source"), _half(batch, "target")
        name = self.task.name
        of_source, of_target = net(join(batch.source.x, batch.target.x), name).split([2 * here, 2 * there])
        if any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in net.modules()):
            draws = generator(self.seed, "adamatch", int(self.steps))
            share = torch.rand(of_source.shape, generator=draws).to(of_source)
            of_source = share * of_source + (1 - share) * net(batch.source.x, name)
        self.steps = self.steps + 1
        sure, wanted = self.own_answers(of_source[:here].detach(), of_target[:there].detach())
        right = guesses(self.task, of_target[there:]).gather(1, wanted[:, None])[:, 0]
        loss = -(right.clamp(min=TINY).log() * sure).mean()
        return {
            "label": self.task.loss(of_source, batch.source.y),
            "match": self.weight * warm_up(progress) * loss,
        }

    def own_answers(self, of_source: Tensor, of_target: Tensor) -> tuple[Tensor, Tensor]:
        """Say which rows of the target the net is sure of, and their classes.

        Shape:
            outputs of first rows ``(B, K)`` and ``(C, K)``; returns booleans and classes ``(C,)``.
        """
        p, q = guesses(self.task, of_source), guesses(self.task, of_target)
        q = q * (p.mean(0) / q.mean(0).clamp(min=TINY))
        most = (q / q.sum(1, keepdim=True).clamp(min=TINY)).max(1)
        return most.values >= self.threshold * p.max(1).values.mean(), most.indices


def warm_up(progress: float) -> float:
    r"""Grow from 0 to 1 over the first half of a run: :math:`\frac12 - \frac12 \cos(\min(\pi, 2 \pi p))`."""
    return 0.5 - math.cos(min(math.pi, 2 * math.pi * progress)) / 2


def _half(batch: Shift, side: str) -> int:
    """Count the rows of a side that stand in it twice."""
    count = rows(getattr(batch, side).x)
    if count % 2:
        hint = "put the rows, changed much, below the rows"
        raise wrong(f"{side} rows", expected="each twice, an even number", found=count, hint=hint)
    return count // 2
