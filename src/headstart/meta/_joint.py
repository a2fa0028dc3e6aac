"""Adapt to several tasks at once, and be meta-trained to do so well.

Shapes: ``T`` problems, each with ``S`` support and ``Q`` query rows of every task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..models import Adapted, Net
from ..tasks import Episodes, Labelled
from ._descent import Loss, Weights, check_steps, descend, lowering, movable
from ._over import check_episodes
from ._vectorise import over_episodes


@final
@dataclass(frozen=True)
class Joint:
    r"""Adapt trunk and heads to several tasks at once, by gradient steps on the sum of their losses.

    .. math:: \theta' = \theta - \alpha \nabla_\theta \sum_k L_{S_k}(\theta)

    The tasks may be of different kinds, with heads of different width. All share the adapted trunk.

    Args:
        losses: by task, from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.
        lr: inner step size :math:`\alpha`, above 0.
        steps: inner steps, at least 1.
        first_order: leave out second derivatives.

    Shape:
        support by task ``x (S, *)``, ``y (S, ...)``; the results map ``(Q, *)`` to ``(Q, O)``.

    Raises:
        KeyError: if a task has no head, or no support rows.
        ValueError: if a setting is out of range, there is no task, or nothing trains.

    Example:
        >>> from torch.nn.functional import cross_entropy, mse_loss
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2), "weight": nn.Linear(8, 1)})
        >>> coins = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> weight = Labelled(torch.randn(5, 4), torch.randn(5, 1))
        >>> adapt = Joint({"coins": cross_entropy, "weight": mse_loss}, lr=0.1)
        >>> adapted = adapt(net, {"coins": coins, "weight": weight})
        >>> adapted["coins"](torch.randn(3, 4)).shape, adapted["weight"](torch.randn(3, 4)).shape
        (torch.Size([3, 2]), torch.Size([3, 1]))

    References:
        Finn, Abbeel & Levine (ICML 2017), algorithm 2, with several losses, https://arxiv.org/abs/1703.03400
    """

    losses: Mapping[str, Loss]
    lr: float = 0.01
    steps: int = 5
    first_order: bool = False

    def __post_init__(self) -> None:
        check_steps(self.lr, self.steps)
        if not self.losses:
            raise wrong("`losses`", expected="one per task", found="none")

    def __call__(self, net: Net, support: Mapping[str, Labelled]) -> dict[str, Adapted]:
        """Return ``net`` with the weights that fit all support sets, by task."""
        weights: Weights = {}
        for task in self.losses:
            weights |= movable(net, task)
        lowers = [lowering(net, task, support[task], loss) for task, loss in self.losses.items()]

        def lower(weights: Weights) -> Tensor:
            return torch.stack([one(weights) for one in lowers]).sum()

        *_, weights = descend(lower, weights, self._move, self.steps, first_order=self.first_order)
        return {task: Adapted(net, task, weights) for task in self.losses}

    def _move(self, step: int, name: str, weight: Tensor, gradient: Tensor) -> Tensor:
        return weight.add(gradient, alpha=-self.lr)


@final
class JointEpisodic(nn.Module):
    r"""Lower the query loss of each task after adaptation to all of them at once.

    .. math:: \frac{1}{T} \sum_t L_k\bigl(A(\theta, S_{t1}, \dots, S_{tK}),\, Q_{tk}\bigr) \text{ for each } k

    A problem is a set of tasks, by name, whose supports come together; a step has several problems. The
    losses come apart, so that a weighing of tasks, as ``multitask.backward(pcgrad)``, says how they count.

    Args:
        adaptation: of several tasks.

    Shape:
        by task, episodes ``x (T, S, *)`` and ``(T, Q, *)``; returns ``()`` by task.

    Raises:
        TypeError: if the batch is not ``Episodes`` by task.
        ValueError: if tasks are missing from a batch, or have different numbers of problems.
        RuntimeError: if the net has layers that ``torch.func.vmap`` cannot run, as recurrent ones.

    Example:
        >>> from torch.nn.functional import cross_entropy, mse_loss
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2), "weight": nn.Linear(8, 1)})
        >>> coins = Labelled(torch.randn(3, 6, 4), torch.tensor([0, 1, 0, 1, 0, 1]).expand(3, -1))
        >>> weight = Labelled(torch.randn(3, 5, 4), torch.randn(3, 5, 1))
        >>> objective = JointEpisodic(Joint({"coins": cross_entropy, "weight": mse_loss}, lr=0.1))
        >>> batch = {"coins": Episodes(coins, coins, 2), "weight": Episodes(weight, weight, 0)}
        >>> list(objective(net, batch, 0.0))
        ['coins', 'weight']

    References:
        Finn, Abbeel & Levine (ICML 2017), algorithm 2, https://arxiv.org/abs/1703.03400
    """

    def __init__(self, adaptation: Joint) -> None:
        super().__init__()
        self.adaptation = adaptation

    def forward(self, net: Net, batch: Mapping[str, Episodes], progress: float) -> dict[str, Tensor]:
        """Return the mean query loss of each task."""
        losses = self.adaptation.losses
        if not isinstance(batch, Mapping):
            expected, found = "Episodes by task", type(batch).__name__
            raise wrong("batch", expected=expected, found=found, error=TypeError)
        if set(batch) != set(losses):
            raise wrong("tasks of a batch", expected=f"{sorted(losses)}", found=f"{sorted(batch)}")
        for episodes in batch.values():
            check_episodes(episodes)
        counts = {task: len(episodes) for task, episodes in batch.items()}
        if len(set(counts.values())) > 1:
            raise wrong("problems of a batch", expected="one number for all tasks", found=counts)
        rows = {k: (e.support.x, e.support.y, e.query.x, e.query.y) for k, e in batch.items()}

        def one(rows: Mapping[str, tuple[Tensor, Tensor, Tensor, Tensor]]) -> Tensor:
            adapted = self.adaptation(net, {k: Labelled(x, y) for k, (x, y, _, _) in rows.items()})
            return torch.stack([loss(adapted[k](rows[k][2]), rows[k][3]) for k, loss in losses.items()])

        found = over_episodes(one, net, (rows,)).mean(0)
        return dict(zip(losses, found.unbind(), strict=True))
