"""Batches with two rows of each class that is in them."""

from __future__ import annotations

from typing import final

import torch

from ...errors import wrong
from ...maths import random
from ..nouns import Labelled, Task
from .rows import labelled_rows
from .stream import Stream, positive


def pairs(task: Task, classes: int, *, generator: torch.Generator) -> Stream:
    """Give two rows of each of some classes, keyed by task name, for ever: what contrasts rows needs both.

    Classes and rows are drawn at random at each step, the rows of a class without replacement. A class with
    one row gives that row twice.

    Args:
        task: with one class per row, in tensors.
        classes: in a batch, at least 1; all where there are fewer.
        generator: one number is drawn from it.

    Raises:
        ValueError: if the task has no classes that exclude one another, or no labelled rows.
        TypeError: if its rows are a dataset.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.randn(8, 2), torch.arange(8) % 4)
        >>> stream = pairs(Task("coins", Multiclass(4), rows), 3, generator=torch.Generator())
        >>> next(stream)["coins"].y.bincount().max().item()
        2
    """
    return _Pairs(task, classes, generator)


@final
class _Pairs(Stream):
    def __init__(self, task: Task, classes: int, generator: torch.Generator) -> None:
        super().__init__(generator)
        what = f"task {task.name!r}"
        if not task.kind.exclusive:
            raise wrong(what, expected="one class per row", found=task.kind.describe())
        if not task.train.held:
            expected, found = "in tensors", "a dataset"
            raise wrong(f"training rows of {what}", expected=expected, found=found, error=TypeError)
        self.task, self.rows = task, task.train
        index = labelled_rows(task.train, task.name)
        numbers = task.kind.numbers(task.train.y[index])
        self.groups = [index[numbers == c] for c in numbers.unique()]
        self.classes = min(positive("classes", classes), len(self.groups))

    def _batch(self) -> dict[str, Labelled]:
        g = random.generator(self._seed, self._step)
        picked = torch.randperm(len(self.groups), generator=g)[: self.classes].tolist()
        drawn = [self.groups[c][torch.randperm(len(self.groups[c]), generator=g)[:2]] for c in picked]
        index = torch.cat([rows if len(rows) == 2 else rows.repeat(2) for rows in drawn])
        return {self.task.name: self.rows.take(index)}
