"""Few-shot problems cut from tasks.

Shapes: ``T`` episodes, ``N`` classes of an episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ...errors import wrong
from ...maths import random
from ..nouns import Episodes, Labelled, Task, join, take
from .rows import labelled_rows
from .stream import Stream, check_names, positive


def episodes(
    tasks: Task | Sequence[Task],
    *,
    ways: int = 5,
    shots: int,
    queries: int,
    per_step: int,
    generator: torch.Generator,
) -> Stream:
    """Cut few-shot problems from one task with many classes, or from many small tasks, for ever.

    An episode takes ``ways`` classes of one task and numbers them anew from 0; within it no row
    occurs twice. For tasks without classes (regression) an episode is ``shots`` and ``queries``
    rows of one task. Step ``i`` depends on the seed and on ``i`` alone.

    Args:
        tasks: where the classes come from.
        ways: classes per episode, at least 1; ignored for regression.
        shots: support rows per class, at least 1.
        queries: query rows per class, at least 1.
        per_step: episodes per step, stacked along a new leading axis.
        generator: one number is drawn from it.

    Raises:
        ValueError: if there are fewer than ``ways`` classes, or a class has too few rows.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> letters = Task("letters", Multiclass(6), Labelled(torch.randn(60, 2), torch.arange(60) % 6))
        >>> stream = episodes(letters, ways=5, shots=1, queries=3, per_step=2, generator=torch.Generator())
        >>> step = next(stream)
        >>> step.support.x.shape, step.query.y.shape
        (torch.Size([2, 5, 2]), torch.Size([2, 15]))
    """
    return _Episodes([tasks] if isinstance(tasks, Task) else tasks, ways, shots, queries, per_step, generator)


@final
class _Episodes(Stream):
    def __init__(
        self,
        tasks: Sequence[Task],
        ways: int,
        shots: int,
        queries: int,
        per_step: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(generator)
        check_names(tasks)
        self.shots, self.queries = positive("shots", shots), positive("queries", queries)
        self.per_step = positive("per_step", per_step)
        self.tables: list[tuple[Labelled, Tensor, Tensor]] = []
        self.classes = tasks[0].kind.exclusive
        if any(t.kind.exclusive != self.classes for t in tasks):
            kinds = sorted({t.kind.name for t in tasks})
            raise wrong("`tasks`", expected="all with classes, or none", found=kinds)
        self.ways = positive("ways", ways) if self.classes else 0
        for task in tasks:
            self.tables.append(self._table(task))

    def _table(self, task: Task) -> tuple[Labelled, Tensor, Tensor]:
        """List the rows of each class, padded: row numbers ``(C, n)`` and counts ``(C,)``."""
        if not task.train.held:
            raise wrong(
                f"training rows of task {task.name!r}",
                expected="in tensors",
                found="a dataset",
                error=TypeError,
            )
        need, y = self.shots + self.queries, task.train.y
        present = labelled_rows(task.train, task.name)
        if not self.classes:
            groups = [present]
        else:
            groups = [present[y[present] == c] for c in y[present].unique()]
            if len(groups) < self.ways:
                raise wrong(
                    "`ways`",
                    expected=f"at most {len(groups)}, the classes of {task.name!r}",
                    found=self.ways,
                )
        least = min(groups, key=len)
        if len(least) < need:
            where = task.name
            if self.classes:
                label = int(y[least[0]])
                where = f'the smallest class ("{task.kind.classes[label]}")'
            raise wrong(
                "`shots + queries`",
                expected=f"at most {len(least)}, the rows of {where}",
                found=need,
                hint="lower `queries` or drop the small classes",
            )
        table = torch.zeros(len(groups), max(map(len, groups)), dtype=torch.long)
        for row, group in zip(table, groups, strict=True):
            row[: len(group)] = group
        return task.train, table, torch.tensor([len(g) for g in groups])

    def _batch(self) -> Episodes:
        g = random.generator(self._seed, self._step)
        which = torch.randint(len(self.tables), (self.per_step,), generator=g)
        parts = [self._draw(k, int((which == k).sum()), g) for k in which.unique().tolist()]
        support, query = (_stack([p[side] for p in parts]) for side in (0, 1))
        return Episodes(support, query, self.ways)

    def _draw(self, k: int, count: int, g: torch.Generator) -> tuple[Labelled, Labelled]:
        """Draw ``count`` episodes of one task at once."""
        data, table, sizes = self.tables[k]
        ways, need = max(1, self.ways), self.shots + self.queries
        # The first `ways` places of a random order of the classes, then the same for their rows.
        picked = torch.rand(count, len(table), generator=g).topk(ways, dim=1).indices  # (T, N)
        keys = torch.rand(count, ways, table.shape[1], generator=g)
        keys.masked_fill_(torch.arange(table.shape[1]) >= sizes[picked][..., None], -1)
        rows = table[picked].gather(2, keys.topk(need, dim=2).indices)  # (T, N, shots + queries)
        support, query = (part.flatten(1) for part in rows.split([self.shots, self.queries], dim=2))
        if not self.classes:
            return data.take(support), data.take(query)
        label = torch.arange(ways).repeat_interleave
        return (
            Labelled(take(data.x, support), label(self.shots).expand(count, -1)),
            Labelled(take(data.x, query), label(self.queries).expand(count, -1)),
        )


def _stack(parts: list[Labelled]) -> Labelled:
    if len(parts) == 1:
        return parts[0]
    return Labelled(join(*(p.x for p in parts)), torch.cat([p.y for p in parts]))
