"""How long rows of texts are, where they have been read with room to spare.

Shapes: ``N`` rows, ``L`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from torch import Tensor

from ...tasks import Kind, Task
from .text import TextEncoding

PARTS = ("train", "valid", "test", "unlabelled")


def shortened(tasks: Sequence[Task]) -> list[Task]:
    """Leave out what is padding in all rows of tasks, at their end, so that the longest row is full.

    Args:
        tasks: of one reading of texts, in memory; they may share their rows, and then go on to.
    """
    parts = [(task, part) for task in tasks for part in PARTS if getattr(task, part) is not None]
    ends = [(getattr(task, part).x != 0).any(0).nonzero() for task, part in parts]
    length = max((int(end.max()) + 1 for end in ends if len(end)), default=1)
    kept: dict[int, Tensor] = {}

    def short(rows: Any, kind: Kind) -> Any:
        x = kept.setdefault(id(rows.x), rows.x[:, :length])
        tagged = not kind.per_row and hasattr(rows, "y")
        return replace(rows, x=x, y=rows.y[:, :length]) if tagged else replace(rows, x=x)

    made: dict[str, dict[str, Any]] = {
        task.name: {"encoding": replace(cast(TextEncoding, task.encoding), length=length)} for task in tasks
    }
    for task, part in parts:
        made[task.name][part] = short(getattr(task, part), task.kind)
    return [replace(task, **made[task.name]) for task in tasks]
