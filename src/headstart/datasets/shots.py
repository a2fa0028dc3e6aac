"""Fewer labels: some shots per class, or none."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import wrong
from ..tasks import Inputs, Kind, Labelled, Task
from ..tasks.nouns import join
from ..tasks.streams import positive
from .classes import keep_classes


def _train(task: Task) -> Labelled:
    if not task.train.held:
        raise wrong(
            f"training rows of task {task.name!r}", expected="in tensors", found="a dataset", error=TypeError
        )
    return task.train


def shots(task: Task, shots: int, *, generator: torch.Generator, drop_small: bool = False) -> Task:
    """Keep a few labelled training rows per class, to see what is learned from how little.

    Each row draws one number, and the rows with the lowest numbers of each class stay, in their old
    order; so with equally seeded generators the rows of 1 shot are among those of 5 shots. A task
    without classes (regression, tokens, several labels per row) keeps ``shots`` labelled rows in all.

    Args:
        task: with train rows in tensors; valid and test rows stay as they are.
        shots: rows per class, at least 1.
        generator: draws one number per row.
        drop_small: leave out the classes with fewer than ``shots`` rows (from valid and test too)
            instead of raising.

    Raises:
        ValueError: if ``shots < 1``, if a class has fewer rows, or if ``drop_small`` leaves fewer
            than two classes.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.rand(20, 2), torch.arange(20) % 2)
        >>> task = Task("coins", Multiclass(["head", "tail"]), rows)
        >>> shots(task, 3, generator=torch.Generator()).train.y.bincount().tolist()
        [3, 3]
    """
    positive("shots", shots)
    data, kind = _train(task), task.kind
    if not kind.exclusive:
        return _in_all(task, shots, generator)
    draw = torch.rand(len(data), generator=generator)
    counts = kind.numbers(data.y[data.present()]).bincount(minlength=len(kind.classes)).tolist()
    small = [k for k, n in enumerate(counts) if n < shots]
    if small and not (drop_small and kind.extensible):
        least = min(small, key=lambda k: counts[k])
        raise wrong(
            "`shots`",
            expected=f"at most {counts[least]}, the smallest class "
            f'("{kind.classes[least]}") has {counts[least]} rows',
            found=shots,
            hint="lower `shots` or pass `drop_small=True`" if kind.extensible else "lower `shots`",
        )
    kept = [k for k in range(len(counts)) if k not in small]
    if len(kept) < 2:
        raise wrong(
            "`shots`", expected=f"at most {sorted(counts)[-2]}, so that two classes are left", found=shots
        )
    index = [_lowest(draw.masked_fill(data.y != k, 2), shots) for k in kept]
    few = _few(task, data.take(torch.cat(index).sort().values))
    return keep_classes(few, kept) if small else few


def random_shots(task: Task, shots: int, *, generator: torch.Generator) -> Task:
    """Keep as many labelled training rows as ``shots`` per class are, at random whatever their class.

    So a common class has more of them than a rare one, as where rows are labelled as they come. One row of
    every class that has any stays, in place of a later one, so that every head can be learned. With equally
    seeded generators the rows of 1 shot are among those of 5 shots. A task without classes keeps
    ``shots`` labelled rows in all, the very rows that ``shots`` keeps.

    Args:
        task: with train rows in tensors; valid and test rows stay as they are.
        shots: rows per class on average, at least 1.
        generator: draws the order of the rows.

    Raises:
        ValueError: if ``shots < 1``, or there are fewer labelled rows.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.rand(20, 2), (torch.arange(20) < 2).long())
        >>> task = Task("coins", Multiclass(["head", "tail"]), rows)
        >>> random_shots(task, 3, generator=torch.Generator().manual_seed(0)).train.y.bincount().tolist()
        [5, 1]
    """
    positive("shots", shots)
    if not task.kind.exclusive:
        return _in_all(task, shots, generator)
    rows, classes = _train(task).known(), len(task.kind.classes)
    if len(rows) < shots * classes:
        raise wrong(
            "`shots`",
            expected=f"at most {len(rows) // classes}: {task.name!r} has {len(rows)} labelled rows "
            f"of {classes} classes",
            found=shots,
            hint="lower `shots`",
        )
    return _few(task, drawn(task.kind, rows, shots * classes, generator))


def drawn(kind: Kind, rows: Labelled, count: int, generator: torch.Generator) -> Labelled:
    """Draw so many rows at random, of every class one if they suffice; none of them misses its label."""
    if count >= len(rows):
        return rows
    order = torch.randperm(len(rows), generator=generator)
    if kind.exclusive:
        y = kind.numbers(rows.y)[order]
        by_class = y.argsort(stable=True)
        first = torch.ones(len(y), dtype=torch.bool)
        first[1:] = y[by_class][1:] != y[by_class][:-1]
        order = order[torch.cat([by_class[first].sort().values, by_class[~first].sort().values])]
    return rows.take(order[:count].sort().values)


def _in_all(task: Task, count: int, generator: torch.Generator) -> Task:
    data = _train(task)
    draw = torch.rand(len(data), generator=generator)
    present = data.present()
    if int(present.sum()) < count:
        raise wrong(
            "`shots`",
            expected=f"at most {int(present.sum())}, the labelled rows of {task.name!r}",
            found=count,
            hint="lower `shots`",
        )
    return _few(task, data.take(_lowest(draw.masked_fill(~present, 2), count)))


def _few(task: Task, rows: Labelled) -> Task:
    """Keep some rows, and what all of them told of the classes."""
    data, prior = _train(task), task.prior
    if prior is None and task.kind.classes:
        prior = data.y[data.present()]
    return replace(task, train=rows, prior=prior)


def _lowest(draw: Tensor, count: int) -> Tensor:
    return draw.argsort(stable=True)[:count].sort().values


def unlabel(task: Task) -> Task:
    """Forget the training labels: the train rows become ``unlabelled`` ones.

    Makes the target of a domain adaptation out of a labelled set. ``train`` keeps no row; rows that
    were unlabelled before stay in front; valid and test rows stay as they are.

    Args:
        task: with train rows in tensors.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.rand(4, 2), torch.arange(4) % 2)
        >>> bare = unlabel(Task("coins", Multiclass(2), rows))
        >>> len(bare.train), len(bare.unlabelled)
        (0, 4)
    """
    data = _train(task)
    x = data.x
    if task.unlabelled is not None and task.unlabelled.held:
        x = join(task.unlabelled.x, x)
    none = torch.zeros(0, dtype=torch.long)
    return replace(task, train=data.take(none), unlabelled=Inputs(x))
