"""How far a step for one task lowers the loss of another, and which tasks are better learned together.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..models.resting import resting
from ..seams import Objective
from ._products import dense

MOST = 8  # tasks of which every way to divide them is looked at: there are 4140


def affinity(
    net: Net,
    objective: Objective,
    batches: Iterable[Any],
    tasks: Sequence[str],
    *,
    lr: float,
    progress: float = 0.0,
) -> Tensor:
    r"""Look ahead: which share of task ``l``'s loss goes away by a step of the shared weights for task ``k``.

    .. math::
        Z_{k \to l} = 1 - \frac{L_l(\theta_s - \eta \nabla L_k,\, \theta_l)}{L_l(\theta_s,\, \theta_l)}

    Above 0, learning ``k`` helps ``l``; below 0 it harms. It need not be the same both ways. The net is asked
    in eval mode and left as it was, to the bit. It is a look at one moment; the paper averages over a run.

    Args:
        net: whose shared weights (``net.shared()``).
        objective: gives the tasks' losses.
        batches: what it takes; the affinities are means over those in which both tasks are there.
        tasks: their names, which give the order; other losses are left out.
        lr: step size of the look ahead, above 0; plain gradient descent.
        progress: what the objective is told.

    Shape:
        returns ``(K, K)``, from the row's task to the column's, NaN for two tasks that never met.
    Raises:
        ValueError: for a step size that is not above 0.

    Example:
        >>> net = Net(torch.nn.Linear(1, 1, bias=False), {"a": torch.nn.Identity(), "b": torch.nn.Identity()})
        >>> _ = net.backbone.weight.data.fill_(1.0)
        >>> def pulls(net, x, progress):
        ...     return {"a": net(x, "a").square().mean(), "b": (net(x, "b") - 2).square().mean()}
        >>> found = affinity(net, pulls, [torch.ones(2, 1)], ["a", "b"], lr=0.1)
        >>> [[round(z, 2) for z in row] for row in found.tolist()]
        [[0.36, -0.44], [-0.44, 0.36]]

    References:
        Fifty et al. (NeurIPS 2021), equation 1, https://arxiv.org/abs/2109.04617
    """
    if not lr > 0:
        raise wrong("`lr`", expected="a step size above 0", found=lr)
    shared = list(net.shared().values())
    total, met = torch.zeros(2, len(tasks), len(tasks), dtype=torch.float64)
    with resting(net):
        for batch in batches:
            losses = objective(net, batch, progress)
            there = [
                (k, name) for k, name in enumerate(tasks) if name in losses and losses[name].requires_grad
            ]
            if not there or not shared:
                continue
            before = {name: float(losses[name].detach()) for _, name in there}
            steps = {
                k: [
                    dense(slope) if slope is not None else None
                    for slope in torch.autograd.grad(
                        losses[name], shared, retain_graph=True, allow_unused=True
                    )
                ]
                for k, name in there
            }
            for k, slopes in steps.items():
                with torch.no_grad(), _kept(shared):
                    for weight, slope in zip(shared, slopes, strict=True):
                        if slope is not None:
                            weight.sub_(slope, alpha=lr)
                    after = objective(net, batch, progress)
                    for other, name in there:
                        if before[name] != 0:
                            total[k, other] += 1 - float(after[name]) / before[name]
                            met[k, other] += 1
    return (total / met).float()


@contextmanager
def _kept(weights: Sequence[Tensor]) -> Iterator[None]:
    """Give weights their values back afterwards, whatever happened."""
    values = [weight.detach().clone() for weight in weights]
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, values, strict=True):
                weight.copy_(value)


def groups(affinities: Tensor) -> list[list[int]]:
    r"""Divide tasks into groups that are better learned together.

    A task in a group gains the mean affinity of the others of the group onto it, alone it gains 0; the
    division with the largest sum of gains is taken, of equal ones that with the fewest groups. Up to 8 tasks
    every division is looked at; with more, those two groups are joined, again and again, whose union adds
    most.

    Args:
        affinities: ``(K, K)`` as of `affinity`; NaN counts as 0.

    Shape:
        returns the numbers of the tasks, each once; groups stand in the order of their first task.
    Raises:
        ValueError: for what is no square matrix.

    *Differs from the paper:* each task is in one group, of which there may be any number; there, a number of
    nets is given and a task may help in several.

    Example:
        >>> groups(torch.tensor([[0.2, 0.1, -0.3], [0.1, 0.2, -0.1], [-0.2, -0.1, 0.3]]))
        [[0, 1], [2]]

    References:
        Fifty et al. (NeurIPS 2021), section 3.3, https://arxiv.org/abs/2109.04617
    """
    if affinities.ndim != 2 or affinities.shape[0] != affinities.shape[1]:
        raise wrong("affinities", expected="a square matrix", found=f"shape {tuple(affinities.shape)}")
    onto = affinities.double().nan_to_num().tolist()

    def gain(group: Sequence[int]) -> float:
        if len(group) < 2:
            return 0.0
        return sum(sum(onto[k][m] for k in group if k != m) / (len(group) - 1) for m in group)

    count = len(onto)
    if count <= MOST:
        return max(divisions(list(range(count))), key=lambda d: (round(sum(map(gain, d)), 9), -len(d)))
    found = [[task] for task in range(count)]
    while len(found) > 1:
        adds = {(a, b): gain([*a, *b]) - gain(a) - gain(b) for a, b in combinations(map(tuple, found), 2)}
        (a, b), most = max(adds.items(), key=lambda pair: pair[1])
        if round(most, 9) < 0:
            break
        found = sorted([sorted([*a, *b]), *(each for each in found if tuple(each) not in (a, b))])
    return found


def divisions(tasks: Sequence[int]) -> Iterator[list[list[int]]]:
    """Give every way to divide tasks into groups, each alone first.

    Example:
        >>> list(divisions([0, 1]))
        [[[0], [1]], [[0, 1]]]
    """
    if not tasks:
        yield []
        return
    *rest, last = tasks
    for division in divisions(rest):
        yield [*division, [last]]
        for place, group in enumerate(division):
            yield [*division[:place], [*group, last], *division[place + 1 :]]
