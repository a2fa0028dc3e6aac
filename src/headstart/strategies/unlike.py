"""Sources whose rows are tables of other columns than the target's: which they are, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from ..datasets.featuremaps import LABELLED
from ..errors import wrong
from ..tasks import Task

if TYPE_CHECKING:
    from .situation import Situation


def divided(targets: Sequence[Task], sources: Sequence[Task]) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Set the sources apart that are tables of other columns than the targets': a few strategies take them.

    Raises:
        ValueError: if there is no other source, and no target has a label by which one could be used.
    """
    unlike = tuple(source for source in sources if other_columns(targets[0], source))
    alike = tuple(source for source in sources if not any(source is one for one in unlike))
    if unlike and not alike and not any(bool(t.train.present().any()) for t in targets):
        _refuse(targets[0], unlike[0])
    return alike, unlike


def other_columns(target: Task, source: Task) -> bool:
    """Tell whether two tables differ in their columns, by the number of these or by their names."""
    wide, wide_too = width(target), width(source)
    if not wide or not wide_too:
        return False
    names, others = column_names(target), column_names(source)
    return wide != wide_too or bool(names and others and names != others)


def width(task: Task) -> int:
    """Count the columns of plain numbers that rows in a tensor have; 0 for rows that are something else.

    Example:
        >>> import torch
        >>> from headstart.tasks import Labelled, Multiclass
        >>> width(Task("new", Multiclass(2), Labelled(torch.zeros(4, 3), torch.arange(4) % 2)))
        3
    """
    x = task.train.x if task.train.held else None
    if not isinstance(x, Tensor) or x.ndim != 2 or not x.is_floating_point():
        return 0
    return 0 if task.encoding is not None and "ids" in task.encoding.facts() else x.shape[1]


def column_names(task: Task) -> list[str]:
    """Name the columns of a task's rows; none where they are tensors of the caller's own."""
    return [] if task.encoding is None else task.encoding.feature_names()


def shared(target: Task, source: Task) -> list[int | None]:
    """Tell for each column of a source which of the target's it is, by their names; ``None`` for none."""
    places = {name: k for k, name in enumerate(column_names(target))}
    return [places.get(name) for name in column_names(source)] or [None] * width(source)


def taken(target: Task, sources: Sequence[Task], *, named: bool = False) -> Task | None:
    """Choose one of several sources with other columns: the one with most labelled rows.

    Args:
        target: what is to be learned.
        sources: of the target's kind of answer.
        named: whether it has to share a column with the target, by name.
    """
    counts = {k: int(source.train.present().sum()) for k, source in enumerate(sources)}
    fit = [k for k in counts if counts[k] and not (named and not any_shared(target, sources[k]))]
    return sources[max(fit, key=counts.__getitem__)] if fit else None


def with_labels(situation: Situation) -> list[Task]:
    """List the tables among the sources of the target's kind of answer, whose relation to it can be told.

    Those with the target's columns, and the one of others that is ``taken``; each with ten labels or more.
    """
    other = taken(situation.target, situation.shared_unlike(), named=True)
    tables = [source for source in situation.shared() if source.train.held]
    tables += [] if other is None else [other]
    return [source for source in tables if int(source.train.present().sum()) >= LABELLED]


def all_rows(target: Task) -> Tensor:
    """Stack a table's rows that may be learned from, with labels and without: not the test rows."""
    parts = [rows.x for rows in (target.unlabelled, target.train) if rows is not None and rows.held]
    return torch.cat([x for x in parts if isinstance(x, Tensor)])


def any_shared(target: Task, source: Task) -> bool:
    """Tell whether two tables have a column of one name."""
    return any(place is not None for place in shared(target, source))


def _refuse(target: Task, source: Task) -> NoReturn:
    many = sum(place is not None for place in shared(target, source))
    hint = "label a handful of the target's rows: `joint+space` learns from such a source then"
    if many:
        hint += (
            "; or keep the columns that both have: in a problem file leave `columns` of the source out, in "
            "Python map the source, `hs.datasets.map_columns(target, columns)(source)`"
        )
    raise wrong(
        f"rows of source {source.name!r}",
        expected=f"of the target's shape {(width(target),)} and columns, since no row of that has a label",
        found=f"{(width(source),)}" + (f", {many} of which the target has too" if many else ""),
        hint=hint,
    )
