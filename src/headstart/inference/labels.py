"""Labels that come beside rows, or with a task, become the model's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..datasets import Encoding
from ..errors import wrong
from ..tasks import Kind, Labelled, Multiclass, Task, X
from ..tasks.kinds import MISSING
from ..tasks.nouns import rows, take


def as_task(data: Any) -> Task:
    """Return a task, or raise ``TypeError`` for what is none."""
    try:
        data.kind, data.train  # noqa: B018 (asked whether it is there)
    except AttributeError:
        raise wrong(
            "`data`",
            expected='a Task or a data reference ("csv:new.csv#label"), where there are no labels beside it',
            found=type(data).__name__,
            hint="pass the labels too",
            error=TypeError,
        ) from None
    return data


def check_alike(theirs: Encoding | None, ours: Encoding | None) -> None:
    """Raise ``ValueError`` where the rows of a task were made in another way than the model's."""
    if theirs is None or ours is None:
        return
    why = ours.differs(theirs)
    if not why and theirs.inputs() and ours.inputs() and _recipe(theirs) != _recipe(ours):
        why = "statistics of their own"
    if why:
        hint = "read them by `model.read`, or pass `encoding=model.encoding` where they are read"
        raise wrong("rows of the task", expected="made as the model's", found=why, hint=hint)


def _recipe(encoding: Encoding) -> dict[str, Any]:
    return encoding.alike().to_json() | {"reader": ""}  # the format of the file makes no difference


def labelled(x: X, labels: Any) -> tuple[X, list[Any]]:
    """Take the rows whose label is not missing (``None``, NaN), and those labels as Python's own.

    Raises:
        ValueError: if there is not one label per row.

    Example:
        >>> labelled(torch.zeros(3, 2), np.array(["a", None, "b"]))[1]
        ['a', 'b']
    """
    try:
        values = labels.tolist()
    except AttributeError:
        values = list(labels)
    if len(values) != rows(x):
        raise wrong("`labels`", expected=f"one per row ({rows(x)})", found=len(values))
    there = [i for i, value in enumerate(values) if not _missing(value)]
    return take(x, torch.tensor(there, dtype=torch.long)), [values[i] for i in there]


def _missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither equal to itself nor another
        return True


def of_classes(name: str, x: X, labels: list[Any]) -> Task:
    """Make a task of rows of one class each, in the order in which the classes come."""
    names = [np.asarray(label).item() for label in labels]
    kind = Multiclass(tuple(dict.fromkeys(names)))
    return Task(name, kind, Labelled(x, kind.encode(names)))


def check_one_class(task: Task, what: str, columns: int = 1) -> Labelled:
    """Return the rows of a task, or raise ``ValueError`` where they are not at hand with one class each."""
    if columns > 1 or not task.kind.extensible or not task.train.held:
        found = task.kind.describe() if columns == 1 else f"{columns} label columns"
        raise wrong(what, expected="rows with one class each", found=found)
    return task.train


def renumbered(y: Tensor, theirs: Kind, ours: Kind) -> Tensor:
    """Number labels by the model's classes; ``ValueError`` names a label that is none of them."""
    if theirs == ours:
        return y
    if not (theirs.single.exclusive and ours.single.exclusive and theirs.place == ours.place):
        raise _of_another(theirs, ours)
    if theirs.place:
        return renumbered(y.flatten(), theirs.single, ours.single).reshape(y.shape)
    numbers = theirs.numbers(y)
    there = numbers != MISSING
    named = ours.encode([theirs.classes[i] for i in numbers[there].tolist()])
    missing = math.nan if named.is_floating_point() else MISSING
    return torch.full(y.shape, missing, dtype=named.dtype).masked_scatter(there, named)


def check_same(theirs: Kind, ours: Kind) -> None:
    """Raise ``ValueError`` where labels that come one by one are not numbered as the model's are."""
    if theirs != ours:
        raise _of_another(theirs, ours)


def _of_another(theirs: Kind, ours: Kind) -> Exception:
    expected = f"answers of the model's kind, {ours.describe()}"
    return wrong("labels of the data", expected=expected, found=theirs.describe())
