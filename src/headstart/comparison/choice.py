"""How a strategy's settings are chosen, without ever looking at the target's test rows.

=====================  ==========================================================================
validation rows        the target brings ``valid`` rows
held-out rows          a quarter of the trial's own rows, where each class has at least 20
pseudo-targets         classes held out of the sources play the target, at the same number of labels
held-out source rows   the strategy learns from the sources alone: a fifth of their rows
no target label        a validator says how far to trust a net, by the target's rows without labels and
                       a fifth of the source's rows; also which strategy, where no target has a label
stated defaults        none of these can be had
=====================  ==========================================================================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ..datasets import random_shots, rotations, shots
from ..datasets.shots import keep_classes
from ..maths import random
from ..strategies import Situation, Strategy
from ..strategies.holding import by_group
from ..strategies.validating import LABELS
from ..tasks import Labelled, Task
from ..tasks.nouns import join

S = TypeVar("S", bound=Situation)

ENOUGH = 20  # labelled rows per class, from which a quarter serves for validation
SPARE = 4, 8  # rows per class, or of numbers, from which a quarter tells learners without reuse apart
KEEPS = 0.02  # source validation accuracy that an adapted net may lose before its setting is refused

VALID, HELD_OUT, PSEUDO, SOURCE, INFORMATION, DEFAULTS = (
    "validation rows",
    "held-out rows",
    "pseudo-targets cut from the sources",
    "held-out source rows",
    "rows without labels and held-out source rows",
    "stated defaults",
)


def chosen_on(problem: Situation, strategy: Strategy, count: int | None) -> str:
    """Name the rows on which a strategy's settings are chosen at a number of shots."""
    if strategy.learns == "unlabelled" or (strategy.learns == "source" and problem.blind):
        if problem.validator == LABELS:
            return VALID
        return INFORMATION if problem.target.kind.exclusive else SOURCE
    if strategy.learns == "source":
        return SOURCE
    if all(t.valid is not None for t in problem.targets):
        return VALID
    if min(least(problem, t, count) for t in problem.targets) >= ENOUGH:
        return HELD_OUT
    if not can_hold_out(problem, count) or strategy.needs(pseudo(problem, 0)):
        return DEFAULTS
    return PSEUDO


def best(scores: Sequence[Sequence[tuple[float, float]]]) -> int:
    """Pick an option from ``scores[option][repeat]``: the highest mean among those whose guard holds.

    Example:
        >>> best([[(0.5, 0.9)], [(0.7, 0.9)], [(0.9, 0.6)]])
        1
    """
    means = [averaged(row) for row in scores]
    return max(guarded(means), key=lambda i: means[i][0])


def averaged(scores: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Average values and guards over repeats."""
    value, guard = (sum(s[i] for s in scores) / len(scores) for i in (0, 1))
    return value, guard


def guarded(pairs: Sequence[tuple[float, float]]) -> list[int]:
    """Number those whose guard holds: not below the highest by more than ``KEEPS``."""
    floor = max(guard for _, guard in pairs) - KEEPS
    return [i for i, (_, guard) in enumerate(pairs) if guard >= floor]


def cut(problem: Situation, count: int | None, seed: int) -> list[Task]:
    """Keep ``count`` labelled rows per class of each target, the same for every strategy at a seed.

    Where rows are drawn at random, these are as many in all.
    """
    if count is None:
        return list(problem.targets)
    few = shots if problem.draw == "equal" else random_shots
    return [
        few(t, count, generator=random.generator("shots", seed)) if t.train.present().any() else t
        for t in problem.targets
    ]


def hold_out(task: Task, seed: int, quarter: int = 0) -> tuple[Task, Labelled]:
    """Set one of four quarters of a task's labelled rows apart."""
    assert task.train.held  # else none of its rows are held out
    kept, held = part(task.train.known(), 0.25, seed, quarter)
    return dataclasses.replace(task, train=kept), held


def part(rows: Labelled, fraction: float, seed: int, place: int = 0) -> tuple[Labelled, Labelled]:
    """Split rows in two, by groups or class by class where there are some; each place gives other rows."""
    generator, many = random.generator("part", seed), max(2, round(1 / fraction))
    held = torch.zeros(len(rows), dtype=torch.bool)
    order = torch.randperm(len(rows), generator=generator)
    if rows.y.ndim == 1 and (not rows.y.is_floating_point() or set(rows.y.tolist()) <= {0.0, 1.0}):
        order = order[rows.y[order].argsort(stable=True)]  # class by class, at random within
    groups = by_group(rows, many, generator, place)
    held[order[place::many] if groups is None else groups] = True
    return rows.take((~held).nonzero().flatten()), rows.take(held.nonzero().flatten())


def divided(task: Task, seed: int) -> Task:
    """Divide a task's labelled training and test rows anew, into as many of each, or of their groups."""
    assert task.train.held
    assert task.test is not None
    assert task.test.held
    train, test = task.train.known(), task.test
    x, y = join(train.x, test.x), torch.cat([train.y, test.y.to(train.y.device)])
    grouped = train.group is not None and test.group is not None
    group = torch.cat([train.group.cpu(), test.group.cpu()]) if grouped else None  # type: ignore[union-attr]
    units, number = (torch.arange(len(y)) if group is None else group).unique(return_inverse=True)
    late = torch.zeros(len(units), dtype=torch.bool)
    order = torch.randperm(len(units), generator=random.generator("division", seed))
    late[order[: len(number[len(train) :].unique())]] = True
    rows, last = Labelled(x, y, group=group), late[number]
    first, last = (at.nonzero().flatten() for at in (~last, last))
    return dataclasses.replace(task, train=rows.take(first), test=rows.take(last), valid=None)


def halved(task: Task) -> Task:
    """Keep half of a task's labelled training rows, of each class alike; a dataset is not divided."""
    if not task.train.held:
        return task
    return dataclasses.replace(task, train=part(task.train.known(), 0.5, 1)[0])


def smallest(task: Task) -> int:
    """Count the labelled rows of the smallest class; a dataset is not divided and counts none."""
    return min(_counts(task)) if task.train.held else 0


def least(problem: Situation, task: Task, count: int | None) -> int:
    """Tell how many rows the smallest class of a target has at a number of shots, whatever the seed.

    Where rows are drawn at random, it is the class's share of them, less two standard deviations: hardly a
    draw has fewer.
    """
    size = smallest(task)
    if count is None or not size:
        return size
    if problem.draw == "equal" or not task.kind.exclusive:
        return min(size, count)
    total = sum(_counts(task))
    drawn = min(total, count * len(task.kind.classes))
    mean, left = size * drawn / total, (total - drawn) / max(1, total - 1)
    return max(1, int(mean - 2 * math.sqrt(mean * (1 - size / total) * left)))


def _counts(task: Task) -> list[int]:
    """Count the labelled rows of each class, or all of them where there are no classes."""
    assert task.train.held
    y = task.train.y[task.train.present()]
    if not task.kind.exclusive:
        return [len(y)]
    return task.kind.numbers(y).bincount(minlength=len(task.kind.classes)).tolist()


def can_spare(problem: Situation, count: int | None) -> bool:
    """Tell whether a quarter of the rows can be held out to choose among the learners without reuse."""
    return all(least(problem, t, count) >= SPARE[not t.kind.exclusive] for t in problem.targets)


def _largest_source(problem: Situation) -> Task | None:
    fit = [s for s in problem.sources if s.kind.extensible and s.train.held]
    return max(fit, key=lambda s: s.kind.outputs, default=None)


def can_hold_out(problem: Situation, count: int | None) -> bool:
    """Tell whether classes of a source can play the target at a number of shots.

    Half of their rows are drawn from, and every class that may be held out has enough for its part.
    """
    source = _largest_source(problem)
    if count is None or source is None or not source.train.held or source.kind.outputs < 4:
        return False
    if not problem.target.kind.exclusive:
        return False  # classes do not stand in for numbers
    y = source.train.y[source.train.present()]
    return int(y.bincount(minlength=source.kind.outputs).min()) >= 2 * count + 2


def pseudo(problem: S, seed: int) -> S:
    """Make a problem whose target is classes held out of the sources: two fifths of the largest one.

    Half of their rows are the pseudo-target's test rows. Of the others, those are drawn that ``cut`` keeps,
    in the same way as of the target's. Where the problem rotates its sources, the
    pseudo-target has rotations too; it has at most as many classes as the real target.
    """
    source = _largest_source(problem)
    assert source is not None
    assert source.train.held
    generator = random.generator("pseudo-target", seed)
    order = torch.randperm(source.kind.outputs, generator=generator)
    held = max(2, int(0.4 * len(order)))
    new = only(source, order[:held], "pseudo-target")
    if problem.rotations:
        new = rotations(new)
    ways = len(problem.target.kind.classes)
    if new.kind.outputs > ways:
        new = only(new, torch.randperm(new.kind.outputs, generator=generator)[:ways], new.name)
    assert new.train.held
    train, test = part(new.train, 0.5, seed)
    rest = only(source, order[held:], source.name)
    return problem.with_rows(
        targets=[dataclasses.replace(new, train=train, test=test, valid=None, unlabelled=None)],
        sources=[rest if s is source else s for s in problem.sources],
    )


def only(task: Task, classes: Tensor, name: str) -> Task:
    """Keep the labelled training rows of some of a task's classes, numbered anew in the order given."""
    assert task.train.held
    return keep_classes(Task(name, task.kind, task.train.known()), classes.tolist())
