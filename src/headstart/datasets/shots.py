"""Fewer labels: some shots per class, or none."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import wrong
from ..tasks import Inputs, Labelled, Task
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
    draw = torch.rand(len(data), generator=generator)
    present = data.present()
    if not kind.exclusive:
        if int(present.sum()) < shots:
            raise wrong(
                "`shots`",
                expected=f"at most {int(present.sum())}, the labelled rows of {task.name!r}",
                found=shots,
                hint="lower `shots`",
            )
        return replace(task, train=data.take(_lowest(draw.masked_fill(~present, 2), shots)))
    counts = kind.numbers(data.y[present]).bincount(minlength=len(kind.classes)).tolist()
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
    few = replace(task, train=data.take(torch.cat(index).sort().values))
    return keep_classes(few, kept) if small else few


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
