"""How a trial's tasks are put to a strategy, and how its net answers in the user's units again.

What the training rows alone tell, and every strategy is to treat alike, is decided here: units and weights.
Numbers are learned in units of the trial's own training rows (``Kind.standard``), so that no strategy, the
user's own among them, meets a price of 200,000 with a head that starts at 0. The units are written into the
heads of the net that comes back. Where the problem has the classes count alike, each target's loss weighs its
rows by their class.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar, final

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..models import Net, device_of
from ..tasks import Labelled, Lazy, Task
from ..tasks.kinds import Standard, present
from ..tasks.kinds.placed import AtPlaces
from .situation import SAMPLED, Situation

S = TypeVar("S", bound=Situation)

SAMPLE = 512  # rows of a dataset that are loaded to see its answers, evenly spaced


def posed(problem: S) -> S:
    """Put the answers of every task in units of its own training rows, and weigh the targets' classes.

    Where classes are drawn alike often they are not weighed as well.
    """
    weighs = problem.class_weights != SAMPLED
    targets = [weighed(t) if weighs and problem.balances(t) else t for t in problem.targets]
    return problem.with_rows(
        targets=[standardised(t, problem.focused(t.name).shared()) for t in targets],
        sources=[standardised(s) for s in problem.sources],
        unlike=[standardised(s) for s in problem.unlike],
    )


def weighed(task: Task) -> Task:
    """Weigh a task's classes so that each counts alike, where they exclude one another."""
    return replace(task, weights=task.kind.balanced(answers(task)))


def standardised(task: Task, sources: Sequence[Task] = ()) -> Task:
    """Put a task's training and validation answers in units of its training rows, where they are numbers.

    A target without answers of its own has the unit of the first of ``sources``.
    """
    own = len(task.train) and bool(present(answers(task)).any())
    like = task if own else next(iter(sources), task)
    standard = task.kind.standard(answers(like)) if len(like.train) else None
    if standard is None:
        return task
    train, valid = _in(standard, task.train), None if task.valid is None else _in(standard, task.valid)
    return replace(task, train=train, valid=valid, standard=standard)


def answers(task: Task) -> Tensor:
    """Return the answers of a task's training rows, or of a sample where they are a dataset."""
    if task.train.held:
        return task.train.y.cpu()
    count = len(task.train)
    return task.train.take(torch.linspace(0, count - 1, min(count, SAMPLE)).long().unique()).y


def _in(standard: Standard, rows: Labelled | Lazy) -> Labelled | Lazy:
    if rows.held:
        return replace(rows, y=standard.apply(rows.y))
    return Lazy(_Standardised(rows.data, standard))


@final
class _Standardised(Dataset):
    """Give the pairs of a dataset with answers in other units."""

    def __init__(self, data: Dataset, standard: Standard) -> None:
        self.data, self.standard = data, standard

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        x, y = self.data[index]
        return x, self.standard.apply(torch.as_tensor(y))


def answering(net: Net, tasks: Sequence[Task]) -> Net:
    """Give the net with heads that answer in the user's units, for the tasks that it has a head for."""
    there = [t for t in tasks if t.name in net.heads]
    heads = {t.name: rescaled(net.heads[t.name], t.standard) for t in there if t.standard is not None}
    if not heads:
        return net
    answers = Net(net.backbone, {name: heads.get(name, head) for name, head in net.heads.items()})
    answers.training = net.training
    return answers


def rescaled(head: nn.Module, standard: Standard) -> nn.Module:
    """Copy a head with its answers in the unit that a standard was measured in.

    Where it ends in a linear layer the unit is written into that, else into one more behind it.

    Example:
        >>> standard = Standard(torch.tensor([5.0]), torch.tensor([2.0]))
        >>> rescaled(nn.Sequential(nn.ReLU(), nn.Linear(1, 1)), standard)
        Sequential(
          (0): ReLU()
          (1): Linear(in_features=1, out_features=1, bias=True)
        )
    """
    if isinstance(head, AtPlaces):  # bringing maps to another size keeps their unit
        return AtPlaces(rescaled(head.head, standard), head.size)
    head = copy.deepcopy(head)
    last = head
    while type(last) is nn.Sequential and len(last):
        last = last[-1]
    with torch.no_grad():
        if type(last) is nn.Linear and "weight" in dict(last.named_parameters(recurse=False)):
            _rescale(last, standard)
            return head
        behind = nn.Linear(len(standard.centre), len(standard.centre)).to(device_of(head))
        nn.init.eye_(behind.weight)
        nn.init.zeros_(behind.bias)
        _rescale(behind, standard)
    return nn.Sequential(head, behind)


def _rescale(layer: nn.Linear, standard: Standard) -> None:
    weight, bias = layer.weight.cpu().double() * standard.scale[:, None], standard.centre
    if layer.bias is None:
        layer.bias = nn.Parameter(layer.weight.new_empty(len(bias)), layer.weight.requires_grad)
    else:
        bias = layer.bias.cpu().double() * standard.scale + bias
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
