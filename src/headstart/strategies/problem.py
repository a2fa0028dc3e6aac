"""What the user has: a new task, and what there is to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..errors import wrong
from ..models.backbones import fitting, start
from ..tasks import Inputs, Labelled, Task, X
from ..tasks.finite import check_finite_rows


@dataclass(frozen=True)
class Budget:
    """How long things may train. Every strategy gets the same numbers.

    Args:
        steps: optimizer steps on the target's rows, over all phases of a strategy together.
        pretrain: steps of supervised training on the sources, where no pretrained backbone is given.
        meta: steps of episodic training on the sources.
        episodes: episodes per such step.
        batch: rows per task and step.
        options: settings that each strategy may choose from, at most (its stated default is the first).
        repeats: pseudo-targets, or validation splits, that the settings are judged on.

    Raises:
        ValueError: if a number is below 1.
    """

    steps: int = 200
    pretrain: int = 1000
    meta: int = 100
    episodes: int = 8
    batch: int = 32
    options: int = 3
    repeats: int = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise wrong(f"`{name}` of the budget", expected="at least 1", found=value)


def row_shape(task: Task) -> tuple[int, ...] | None:
    """Tell the shape of one row; ``None`` for mappings and datasets."""
    x: X | None = task.train.x if isinstance(task.train, Labelled) else None
    return tuple(x.shape[1:]) if isinstance(x, torch.Tensor) else None


@dataclass(frozen=True, eq=False)
class Problem:
    """Say what is to be learned and what there is to start from.

    Args:
        target: the new task. Its test rows are touched once per trial, by the final score.
        sources: related tasks with labels.
        backbone: a name for ``hs.backbone`` (``"torchvision:resnet18"``), a pretrained module, or
            ``"auto"``: ``conv4`` for images, ``mlp`` for numbers, ``textcnn`` for token ids. A backbone
            that does not come pretrained is pretrained on the sources.
        weights: as for ``hs.backbone``: its default ones, a name, a path, or ``None`` for random.
        settings: the backbone's own settings, such as ``{"width": 32}``.
        shots: labelled target rows per class (in all, where there are no classes), several for a
            learning curve; ``None`` for all rows.
        rotations: rotate source images to make extra classes for pretraining and episodes;
            ``None`` does so for square images whose classes are not the target's.
        shift: pixels by which source images are moved at random in pretraining, so that the features
            do not mind; ``None`` takes an eighth of the side of square images, 0 none.
        budget: how long things may train.

    Raises:
        ValueError: if names collide, rows differ in shape or words, inputs hold NaN or infinity, a task
            asks for an answer per token, or a number of shots is below 1.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.randn(8, 4), torch.arange(8) % 2)
        >>> Problem(Task("new", Multiclass(2), rows, test=rows), shots=[1, 2]).backbone
        'mlp'
    """

    target: Task
    sources: Sequence[Task] = ()
    backbone: str | nn.Module = "auto"
    weights: str | None = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    shots: int | Sequence[int] | None = None
    rotations: bool | None = None
    shift: int | None = None
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        names = [self.target.name, *(s.name for s in self.sources)]
        if len(set(names)) != len(names):
            raise wrong("names of target and sources", expected="distinct", found=names)
        if self.target.test is None:
            raise wrong(
                "`test` of the target",
                expected="rows to be scored on",
                found="None",
                hint="pass Task(..., test=rows)",
            )
        if self.shots is not None and (not self.counts() or min(self.counts()) < 1):
            raise wrong("`shots`", expected="whole numbers of at least 1", found=self.counts())
        for task in (self.target, *self.sources):
            if not task.kind.per_row:
                raise wrong(
                    f"task {task.name!r}",
                    expected="of one answer per row, since no backbone gives features of each token yet",
                    found="one answer per token",
                    hint='choose another task, such as "snips#snips_intent"',
                )
            check_numbers(task, "train", "valid", "unlabelled")  # test rows: when they are to be touched
        shape = row_shape(self.target)
        for source in self.sources:
            if row_shape(source) != shape:
                raise wrong(
                    f"rows of source {source.name!r}",
                    expected=f"of the target's shape {shape}",
                    found=row_shape(source),
                    hint=_likeness(self.target),
                )
            known = self.target.encoding
            if why := known.differs(source.encoding) if known is not None else "":
                raise wrong(
                    f"rows of source {source.name!r}",
                    expected="numbered by the target's words",
                    found=why,
                    hint=_likeness(self.target),
                )
        if self.backbone == "auto":
            object.__setattr__(self, "backbone", _fitting(self.target))
        square = shape is not None and len(shape) == 3 and shape[1] == shape[2]
        if self.shift is None:
            object.__setattr__(self, "shift", shape[1] // 8 if square and shape else 0)
        elif self.shift < 0 or (self.shift and (shape is None or len(shape) != 3)):
            raise wrong("`shift`", expected="at least 0, and 0 for rows that are no images", found=self.shift)
        if self.rotations is None:
            object.__setattr__(self, "rotations", square and not self.shared())
        elif self.rotations and not square:
            raise wrong("`rotations`", expected="off, for rows that are no square images", found=True)

    def counts(self) -> list[int]:
        """Return the numbers of labelled rows to try, fewest first; none where all rows are used."""
        if self.shots is None:
            return []
        return [self.shots] if isinstance(self.shots, int) else sorted(set(self.shots))

    def shared(self) -> list[Task]:
        """List the sources that have the target's very classes."""
        kind = self.target.kind
        return [s for s in self.sources if kind.exclusive and s.kind == kind]

    def comes_pretrained(self) -> bool:
        """Tell whether the backbone brings knowledge of its own."""
        return start(self.backbone).comes_pretrained(self.weights)

    def labelled(self) -> int:
        """Count the target's labelled training rows."""
        return int(self.target.train.present().sum())


def asked(task: Task) -> str:
    """Say what a task asks for, so that a wrong guess at the kind of its labels is seen.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.zeros(2, 1), torch.tensor([0, 1]))
        >>> asked(Task("digit", Multiclass([3, 8]), rows))
        'digit: 2 classes (3, 8)'
    """
    return f"{task.name}: {task.kind.describe()}"


def _likeness(task: Task) -> str:
    """Say how other rows become like a task's."""
    x = task.train.x if isinstance(task.train, Labelled) else None
    if isinstance(x, torch.Tensor) and x.ndim == 2 and not x.is_floating_point():
        return 'write both as tables ("text:new.csv#label"), so that sources are read by the target\'s words'
    return "resize the images" if isinstance(x, torch.Tensor) and x.ndim == 4 else "choose common columns"


def check_numbers(task: Task, *parts: str) -> None:
    """Raise ``ValueError`` where inputs hold NaN or infinity, which would spoil all that is learned."""
    for part in parts:
        data = getattr(task, part)
        if isinstance(data, Labelled | Inputs):
            check_finite_rows(data.x, f"{part} rows of task {task.name!r}")


def _fitting(task: Task) -> str:
    """Name the small backbone that fits a task's rows."""
    x = task.train.x if isinstance(task.train, Labelled) else None
    return fitting(row_shape(task), isinstance(x, torch.Tensor) and not x.is_floating_point())


def build(problem: Problem, *, pretrained: bool) -> nn.Module:
    """Make the problem's backbone, with its pretrained weights or (global random state) new ones."""
    encoding = problem.target.encoding
    return start(problem.backbone).build(
        inputs=row_shape(problem.target),
        # A module is pretrained as it comes, whatever `weights` says.
        weights=problem.weights or "default" if pretrained and problem.comes_pretrained() else None,
        settings=problem.settings,
        facts={} if encoding is None else encoding.facts(),
    )
