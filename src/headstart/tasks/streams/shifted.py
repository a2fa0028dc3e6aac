"""Source rows with labels beside target rows without."""

from __future__ import annotations

from typing import final

import torch

from ...errors import wrong
from ..nouns import Inputs, Shift, Task
from .rows import Rows, labelled_rows
from .stream import Stream, positive


def shifted(task: Task, size: int, *, workers: int = 0, generator: torch.Generator) -> Stream:
    """Give labelled source rows (``task.train``) beside target rows without labels (``task.unlabelled``).

    Args:
        task: a task with ``unlabelled`` rows.
        size: rows from each side and step, at least 1.
        workers: processes that load a map-style dataset.
        generator: one number is drawn from it.

    Raises:
        ValueError: if the task has no unlabelled rows.

    Example:
        >>> from headstart.tasks import Labelled, Multiclass
        >>> photos = Task("photos", Multiclass(2), Labelled(torch.randn(8, 2), torch.arange(8) % 2),
        ...               unlabelled=Inputs(torch.randn(6, 2)))
        >>> batch = next(shifted(photos, 4, generator=torch.Generator()))
        >>> len(batch.source), len(batch.target)
        (4, 4)
    """
    return _Shifted(task, size, workers, generator)


@final
class _Shifted(Stream):
    def __init__(self, task: Task, size: int, workers: int, generator: torch.Generator) -> None:
        super().__init__(generator)
        count = 0 if task.unlabelled is None else len(task.unlabelled)
        if task.unlabelled is None or not count:
            raise wrong(
                f"`unlabelled` of task {task.name!r}",
                expected="rows from where the model will run",
                found="None" if task.unlabelled is None else "no row",
                hint="pass Task(..., unlabelled=Inputs(x))",
            )
        self.size = positive("size", size)
        self.source = Rows(task.train, labelled_rows(task.train, task.name), workers)
        self.target = Rows(task.unlabelled, torch.arange(count), workers)

    def _batch(self) -> Shift:
        s, t = (min(self.size, r.count) for r in (self.source, self.target))
        source = self.source.at(self._step * s, s, self._seed, 0)
        target = self.target.at(self._step * t, t, self._seed, 1)
        return Shift(source, Inputs(target.x))  # whatever a dataset gives, labels stay behind
