"""What ways of sharing have in common: tasks by name, rows of several at once, a place in saved models.

Shapes: ``B`` rows, ``D`` features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import unknown, wrong
from ...tasks import X
from ..net import Backbone, Trunk, as_backbone, width_of

ENCODER = "encoder()"  # the key that a described encoder stands under: no task is called so
Both = tuple[dict[str, Tensor], dict[str, Tensor]]


class Pattern(Trunk):
    """A backbone that is made of encoders, and shares them among tasks in some way.

    It is called as ``pattern(x, task)``, and as ``pattern(rows by task, None, progress)`` for all tasks of a
    step at once. Where all encoders come from ``hs.backbone``, a saved net is rebuilt from its file alone.

    Args:
        arguments: of the class, by name; encoders among them, in lists and mappings too.
        tasks: their names.

    Raises:
        ValueError: if there is no task, or two of one name, or no encoder.

    Example:
        >>> class Sum(Pattern):
        ...     width = 4
        ...     def __init__(self, encoders, tasks):
        ...         super().__init__({"encoders": encoders, "tasks": tasks}, tasks)
        ...         self.encoders = nn.ModuleList(encoders)
        ...     def several(self, x, tasks):
        ...         return dict.fromkeys(tasks, sum(encoder(x) for encoder in self.encoders))
        >>> Sum([nn.Linear(3, 4), nn.Linear(3, 4)], ["a", "b"])(torch.zeros(5, 3), "b").shape
        torch.Size([5, 4])
    """

    joint = True
    name = ""  # in saved models

    def __init__(self, arguments: Mapping[str, Any], tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = list(tasks)
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise wrong("`tasks`", expected="at least one, with distinct names", found=self.tasks)
        encoders = list(_encoders(arguments))
        if not encoders:
            raise wrong(f"encoders of {type(self).__name__}", expected="at least one", found="none")
        told = described(arguments)
        self.settings = told or {}
        self.use = self.name if told is not None else ""
        if (about := as_backbone(encoders[0])) is not None:
            self.tokenizer, self.licence = about.tokenizer, about.licence

    def several(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the features ``(B, D)`` of the same rows for some tasks."""
        raise NotImplementedError

    def together(self, x: Mapping[str, X], progress: float) -> Both:
        """Return the features of several tasks, and the losses that are the pattern's own, by name."""
        features: dict[str, Tensor] = {}
        for rows, tasks in alike(x):
            features |= self.several(rows, tasks)
        return features, {}

    def forward(self, x: Any, task: str | None, progress: float = 0.0) -> Any:
        """Return the features of a task ``(B, D)``; without its name, ``together`` of rows by task."""
        if task is None:
            if not isinstance(x, Mapping):
                found = "none, and rows of no task"
                raise wrong("name of the task", expected=f"one of {self.tasks}", found=found)
            for name in x:
                self.check(name)
            return self.together(x, progress)
        self.check(task)
        return self.several(x, [task])[task]

    def width_for(self, task: str) -> int:
        """Tell the features ``D`` per row of a task."""
        self.check(task)
        return self.width

    def check(self, task: str) -> None:
        """Raise ``KeyError`` for a task that the pattern does not know."""
        if task not in self.tasks:
            raise unknown(f"task of {type(self).__name__}", task, self.tasks, error=KeyError)


def alike(x: Mapping[str, X]) -> list[tuple[X, list[str]]]:
    """Put tasks together that have the very same rows."""
    found: dict[int, tuple[X, list[str]]] = {}
    for task, rows in x.items():
        found.setdefault(id(rows), (rows, []))[1].append(task)
    return list(found.values())


def one_width(encoders: Mapping[str, nn.Module], x: X | None) -> int:
    """Tell the width that all encoders have, or say which of them differ.

    Args:
        encoders: by what an error calls them.
        x: one row or more, for encoders that do not tell their width.

    Raises:
        ValueError: if widths differ, or one is not known and there are no rows.
    """
    widths = {name: width(encoder, x) for name, encoder in encoders.items()}
    if len(set(widths.values())) > 1:
        found = ", ".join(f"{many} of {name}" for name, many in widths.items())
        raise wrong("features of the encoders", expected="of one width", found=found)
    return next(iter(widths.values()))


def width(encoder: nn.Module, x: X | None) -> int:
    """Tell the width of one encoder, measured on rows where it does not tell it."""
    if x is None and as_backbone(encoder) is None:
        hint = "pass `x`, one row or more, to measure it"
        found = f"{type(encoder).__name__}, which does not tell it"
        raise wrong("width of an encoder", expected="known", found=found, hint=hint)
    return width_of(encoder, x)  # type: ignore[arg-type]


def check_takes(module: nn.Module, width: int, what: str) -> None:
    """Raise ``ValueError`` where a module does not take features of a width."""
    training, own = module.training, next(module.parameters(), torch.zeros(()))
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, width, dtype=own.dtype, device=own.device))
    except RuntimeError as error:
        found = " ".join(str(error).split())[:120]
        raise wrong(what, expected=f"one that takes {width} features", found=found) from error
    finally:
        module.train(training)


# Descriptions for saved models.


def _encoders(value: Any) -> Iterator[nn.Module]:
    match value:
        case nn.Module():
            yield value
        case Mapping():
            for inner in value.values():
                yield from _encoders(inner)
        case list() | tuple():
            for inner in value:
                yield from _encoders(inner)


def described(value: Any) -> Any:
    """Write arguments as JSON; ``None`` where an encoder is a module of the caller's own."""
    match value:
        case nn.Module():
            about = as_backbone(value)
            if about is None or not about.use:
                return None
            cut = {} if about.cut is None else {"cut": dict(about.cut)}
            return {ENCODER: {"use": about.use, "settings": dict(about.settings)} | cut}
        case Mapping():
            whole = {name: described(inner) for name, inner in value.items()}
            return None if None in whole.values() else whole
        case list() | tuple():
            parts = [described(inner) for inner in value]
            return None if None in parts else parts
    return value


def restored(value: Any, build: Callable[[Mapping[str, Any]], Backbone]) -> Any:
    """Build the encoders in arguments that ``described`` wrote."""
    match value:
        case {"encoder()": about}:
            return build(about)
        case Mapping():
            return {name: restored(inner, build) for name, inner in value.items()}
        case list():
            return [restored(inner, build) for inner in value]
    return value
