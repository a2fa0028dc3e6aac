"""Few-shot problems that are written down: which classes and which rows, to be drawn once and used by all.

Shapes: ``N`` classes of an episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import unknown, wrong
from ...maths import random
from ..nouns import Labelled, Task, take
from .rows import labelled_rows
from .stream import check_names, positive

Range = int | tuple[int, int]


@dataclass(frozen=True)
class Episode:
    """Name the rows of one few-shot problem, so that it is the same wherever it is played.

    Args:
        seed: that it was drawn with.
        number: which of that seed's episodes it is.
        task: the name of the task that its rows are of.
        classes: what the task calls its classes, in the order in which the episode numbers them from 0;
            empty where targets are numbers.
        support: numbers of the task's training rows to adapt on, a list for each class, or one list of all.
        query: of those to be judged on, likewise.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> letters = Task("letters", Multiclass("abc"), Labelled(torch.arange(12.0)[:, None], torch.arange(12) % 3))
        >>> (episode,) = draw_episodes(letters, 1, ways=2, shots=1, queries=2, seed=7)
        >>> support, query = episode.rows(letters)
        >>> support.y.tolist(), query.y.tolist()
        ([0, 1], [0, 0, 1, 1])
        >>> Episode.from_json(episode.to_json()) == episode
        True
    """  # noqa: E501

    seed: int
    number: int
    task: str
    classes: tuple[int | str, ...]
    support: tuple[tuple[int, ...], ...]
    query: tuple[tuple[int, ...], ...]

    def rows(self, tasks: Task | Sequence[Task]) -> tuple[Labelled, Labelled]:
        """Return the support and the query set, with classes numbered from 0.

        Raises:
            ValueError: if none of ``tasks`` has the episode's name.
        """
        known = {task.name: task for task in ([tasks] if isinstance(tasks, Task) else tasks)}
        if self.task not in known:
            raise unknown("task of the episode", self.task, known)
        return self._part(known[self.task], self.support), self._part(known[self.task], self.query)

    def _part(self, task: Task, groups: tuple[tuple[int, ...], ...]) -> Labelled:
        at = torch.tensor([row for group in groups for row in group])
        if not self.classes:
            return task.train.take(at)
        label = torch.arange(len(groups)).repeat_interleave(torch.tensor([len(group) for group in groups]))
        return Labelled(take(task.train.x, at), label)  # type: ignore[union-attr]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Episode:
        """Read what ``to_json`` gave."""
        lists = {name: tuple(map(tuple, about[name])) for name in ("support", "query")}
        return cls(**{**about, "classes": tuple(about["classes"]), **lists})


def draw_episodes(
    tasks: Task | Sequence[Task],
    count: int,
    *,
    ways: Range = 5,
    shots: Range,
    queries: int,
    seed: int,
) -> list[Episode]:
    """Draw few-shot problems as records, to judge several methods on the same ones.

    Episode ``i`` depends on the seed and on ``i`` alone, not on how many there are or who draws them. A range
    ``(low, high)`` makes episodes of various sizes: the number of classes is drawn for each, and the number
    of support rows for each class by itself, so that support sets are imbalanced. Where a class has too few
    rows for all of them, it gives those that are left beside the queries.

    Args:
        tasks: where the classes come from; one of them is drawn for each episode.
        count: how many, at least 1.
        ways: classes of an episode, at least 2, or a range of that; ignored for numbers.
        shots: support rows per class, at least 1, or a range of that.
        queries: query rows per class, at least 1.
        seed: of all of them.

    Raises:
        ValueError: if a task has too few classes, or one of its classes too few rows; it is named.
        TypeError: if rows are not held in memory.

    References:
        Triantafillou et al. (ICLR 2020), section 3.2, vary ways and shots, https://arxiv.org/abs/1903.03096
    """
    tasks = [tasks] if isinstance(tasks, Task) else list(tasks)
    check_names(tasks)
    positive("count", count)
    positive("queries", queries)
    least, most = _range("shots", shots, 1)
    fewest, widest = _range("ways", ways, 2)
    tables = [_groups(task, fewest, least + queries) for task in tasks]
    drawn = []
    for number in range(count):
        g = random.generator(seed, "episode", number)
        k = _between(0, len(tasks) - 1, g)
        names, groups = tables[k]
        chosen = torch.randperm(len(groups), generator=g)[: _between(fewest, min(widest, len(groups)), g)]
        parts = [_rows(groups[i], least, most, queries, g) for i in (chosen.tolist() if names else [0])]
        classes = tuple(names[i] for i in chosen.tolist()) if names else ()
        support, query = zip(*parts, strict=True)
        drawn.append(Episode(seed, number, tasks[k].name, classes, support, query))
    return drawn


def _rows(
    group: Tensor, least: int, most: int, queries: int, g: torch.Generator
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw the support and the query rows of one class."""
    order = group[torch.randperm(len(group), generator=g)].tolist()
    shots = _between(least, min(most, len(order) - queries), g)
    return tuple(order[:shots]), tuple(order[shots : shots + queries])


def _between(low: int, high: int, g: torch.Generator) -> int:
    """Draw a whole number from ``low`` to ``high``, both included."""
    return low if low >= high else int(torch.randint(low, high + 1, (), generator=g))


def _range(what: str, value: Range, least: int) -> tuple[int, int]:
    low, high = (value, value) if isinstance(value, int) else value
    if not least <= low <= high:
        raise wrong(f"`{what}`", expected=f"at least {least}, or a range (low, high) of that", found=value)
    return low, high


def _groups(task: Task, ways: int, need: int) -> tuple[list[int | str], list[Tensor]]:
    """List the classes of a task with the numbers of their rows; for numbers no class and all rows."""
    if not task.train.held:
        raise wrong(
            f"training rows of task {task.name!r}", expected="in tensors", found="a dataset", error=TypeError
        )
    present, y = labelled_rows(task.train, task.name), task.train.y
    if not task.kind.exclusive:
        labels, groups = [], [present]
    else:
        seen = y[present].unique().tolist()
        labels = [task.kind.classes[int(c)] for c in seen]
        groups = [present[y[present] == c] for c in seen]
        if len(groups) < ways:
            raise wrong("`ways`", expected=f"at most {len(groups)}, the classes of {task.name!r}", found=ways)
    size, index = min((len(group), i) for i, group in enumerate(groups))
    if size < need:
        where = f'class "{labels[index]}" of {task.name!r}' if labels else repr(task.name)
        hint = "lower `shots` or `queries`, or drop that class"
        raise wrong(
            "`shots + queries`", expected=f"at most {size}, the rows of {where}", found=need, hint=hint
        )
    return labels, groups
