"""How a strategy's settings are chosen, without ever looking at the target's test rows.

=====================  ==========================================================================
validation rows        the target brings ``valid`` rows
held-out rows          a quarter of the trial's own rows, where each class has at least 20
pseudo-targets         classes held out of the sources play the target, at the same number of labels
information            no target labels at all: sure and varied predictions on the unlabelled rows,
                       among settings that keep the source's validation accuracy
stated defaults        none of these can be had
=====================  ==========================================================================
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from ..datasets import rotations, shots
from ..datasets.shots import keep_classes
from ..engine import score
from ..tasks import Labelled, Task
from . import domain
from .problem import Problem
from .table import Strategy
from .trial import Memory, Trial

ENOUGH = 20  # labelled rows per class, from which a quarter serves for validation
KEEPS = 0.02  # source validation accuracy that an adapted net may lose before its setting is refused

VALID, HELD_OUT, PSEUDO, INFORMATION, DEFAULTS = (
    "validation rows",
    "held-out rows",
    "pseudo-targets cut from the sources",
    "information in the unlabelled rows",
    "stated defaults",
)


def way(problem: Problem, strategy: Strategy, count: int | None) -> str:
    """Name the way in which a strategy's settings are chosen at a number of shots."""
    if not strategy.labels:
        return INFORMATION
    if problem.target.valid is not None:
        return VALID
    if _smallest(problem.target, count) >= ENOUGH:
        return HELD_OUT
    return PSEUDO if _can_hold_out(problem, count) else DEFAULTS


def judge(
    problem: Problem, strategy: Strategy, option: int, count: int | None, repeat: int, memory: Memory
) -> tuple[float, float]:
    """Score one option: the value to raise, and a guard (source validation accuracy, else 0).

    ``memory`` holds what the options of one repeat share.
    """
    how = way(problem, strategy, count)
    seed = 1000 + repeat
    if how == INFORMATION:
        return _judge_by_information(problem, strategy, option, seed)
    if how == PSEUDO:
        posed = pseudo(problem, seed)
        judged = posed.target.test
    elif how == VALID:
        posed, judged = problem, problem.target.valid
    else:
        posed = problem
        judged = None
    posed = cut(posed, count, seed if how == PSEUDO else repeat)
    if how == HELD_OUT:
        posed, judged = hold_out(posed, seed)
    trial = Trial(posed, strategy.options[option], seed, memory)
    net = strategy.run(trial).net
    return score(net, trial.target, judged), 0.0


def best(scores: Sequence[Sequence[tuple[float, float]]]) -> int:
    """Pick an option from ``scores[option][repeat]``: the highest mean among those whose guard holds.

    Example:
        >>> best([[(0.5, 0.9)], [(0.7, 0.9)], [(0.9, 0.6)]])
        1
    """
    means = [[sum(s[i] for s in row) / len(row) for i in (0, 1)] for row in scores]
    floor = max(guard for _, guard in means) - KEEPS
    allowed = [i for i, (_, guard) in enumerate(means) if guard >= floor]
    return max(allowed, key=lambda i: means[i][0])


def _judge_by_information(
    problem: Problem, strategy: Strategy, option: int, seed: int
) -> tuple[float, float]:
    source = domain.joined(problem.target, problem.shared())
    train, valid = _part(source.train, 0.2, seed)  # type: ignore[arg-type]
    posed = dataclasses.replace(
        problem,
        sources=[dataclasses.replace(source, name="the sources", train=train, unlabelled=None)],
        rotations=False,
    )
    trial = Trial(posed, strategy.options[option], seed)
    net = strategy.run(trial).net
    return domain.information(net, problem.target), score(net, problem.target, valid)


def cut(problem: Problem, count: int | None, seed: int) -> Problem:
    """Keep ``count`` labelled target rows per class, the same for every strategy at a seed."""
    if count is None:
        return problem
    generator = torch.Generator().manual_seed(seed)
    return dataclasses.replace(problem, target=shots(problem.target, count, generator=generator))


def hold_out(problem: Problem, seed: int) -> tuple[Problem, Labelled]:
    """Set a quarter of the target's labelled rows apart."""
    train = problem.target.train
    assert isinstance(train, Labelled)
    kept, held = _part(train.known(), 0.25, seed)
    return dataclasses.replace(problem, target=dataclasses.replace(problem.target, train=kept)), held


def _part(rows: Labelled, fraction: float, seed: int) -> tuple[Labelled, Labelled]:
    """Split rows in two, class by class where there are classes."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows), generator=generator)
    if rows.y.ndim == 1 and (not rows.y.is_floating_point() or set(rows.y.tolist()) <= {0.0, 1.0}):
        order = order[rows.y[order].argsort(stable=True)]  # class by class, at random within
    held = torch.zeros(len(rows), dtype=torch.bool)
    held[order[:: max(2, round(1 / fraction))]] = True
    return rows.take((~held).nonzero().flatten()), rows.take(held.nonzero().flatten())


def _smallest(task: Task, count: int | None) -> int:
    """Count the labelled rows of the smallest class."""
    if not isinstance(task.train, Labelled):
        return 0  # a dataset is not divided
    y = task.train.y[task.train.present()]
    least = len(y)
    if task.kind.exclusive:
        least = int(task.kind.numbers(y).bincount(minlength=len(task.kind.classes)).min())
    return least if count is None else min(least, count)


def _largest_source(problem: Problem) -> Task | None:
    fit = [s for s in problem.sources if s.kind.extensible and isinstance(s.train, Labelled)]
    return max(fit, key=lambda s: s.kind.outputs, default=None)


def _can_hold_out(problem: Problem, count: int | None) -> bool:
    source = _largest_source(problem)
    if count is None or source is None or source.kind.outputs < 4:
        return False
    if not problem.target.kind.exclusive:
        return False  # classes do not stand in for numbers
    assert isinstance(source.train, Labelled)
    y = source.train.y[source.train.present()]
    return int(y.bincount(minlength=source.kind.outputs).min()) >= 2 * count + 2


def pseudo(problem: Problem, seed: int) -> Problem:
    """Make a problem whose target is classes held out of the sources: two fifths of the largest one.

    Half of their rows are the pseudo-target's test rows. Where the problem rotates its sources, the
    pseudo-target has rotations too; it has at most as many classes as the real target.
    """
    source = _largest_source(problem)
    assert source is not None
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(source.kind.outputs, generator=generator)
    held = max(2, int(0.4 * len(order)))
    new = only(source, order[:held], "pseudo-target")
    if problem.rotations:
        new = rotations(new)
    ways = len(problem.target.kind.classes)
    if new.kind.outputs > ways:
        new = only(new, torch.randperm(new.kind.outputs, generator=generator)[:ways], new.name)
    assert isinstance(new.train, Labelled)
    train, test = _part(new.train, 0.5, seed)
    rest = only(source, order[held:], source.name)
    return dataclasses.replace(
        problem,
        target=dataclasses.replace(new, train=train, test=test, valid=None, unlabelled=None),
        sources=[rest if s is source else s for s in problem.sources],
    )


def only(task: Task, classes: Tensor, name: str) -> Task:
    """Keep the labelled training rows of some of a task's classes, numbered anew in the order given."""
    assert isinstance(task.train, Labelled)
    rows = task.train.known()
    return keep_classes(Task(name, task.kind, rows), classes.tolist())
