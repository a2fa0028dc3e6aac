"""How the gradients of tasks lie to one another.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..models import Net
from ..models.resting import resting
from ..seams import Objective
from ._products import gramian


def cosines(
    net: Net, objective: Objective, batches: Iterable[Any], tasks: Sequence[str], *, progress: float = 0.0
) -> Tensor:
    r"""Tell the cosine between the gradients of each two tasks over the shared weights.

    .. math:: C_{kl} = \frac{g_k \cdot g_l}{|g_k|\, |g_l|}

    Below 0 the tasks pull against each other there, above 0 a step for one helps the other. The net is asked
    in eval mode and left as it was. It is a look at one moment: cosines change along a run.

    Args:
        net: whose shared weights (``net.shared()``).
        objective: gives the tasks' losses.
        batches: what it takes; the cosines are means over those in which both tasks are there.
        tasks: their names, which give the order; other losses are left out.
        progress: what the objective is told.

    Shape:
        returns ``(K, K)``, NaN for two tasks that never met, or whose gradient was 0.

    Example:
        >>> net = Net(torch.nn.Linear(1, 1, bias=False), {"a": torch.nn.Identity(), "b": torch.nn.Identity()})
        >>> against = lambda net, x, progress: {"a": net(x, "a").sum(), "b": -net(x, "b").sum()}
        >>> cosines(net, against, [torch.ones(2, 1)], ["a", "b"])
        tensor([[ 1., -1.],
                [-1.,  1.]])

    References:
        Yu et al. (NeurIPS 2020), definition 1, https://arxiv.org/abs/2001.06782
    """
    shared = list(net.shared().values())
    total, met = torch.zeros(2, len(tasks), len(tasks), dtype=torch.float64)
    with resting(net):
        for batch in batches:
            losses = objective(net, batch, progress)
            at = [k for k, name in enumerate(tasks) if name in losses and losses[name].requires_grad]
            there = [losses[tasks[k]] for k in at]
            if not there or not shared:
                continue
            rows = [torch.autograd.grad(one, shared, retain_graph=True, allow_unused=True) for one in there]
            columns = list(zip(*rows, strict=True))
            g = gramian(columns, there).double().cpu()
            length = g.diagonal().sqrt()
            cosine = g / (length[:, None] * length)
            finite = cosine.isfinite()
            place = torch.tensor(at)
            total[place[:, None], place] += cosine.where(finite, 0)
            met[place[:, None], place] += finite
    return (total / met).float()
