"""What a row is, what a task is, what a batch is.

Shapes: ``B`` rows, ``T`` episodes, ``S`` support rows, ``Q`` query rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..errors import wrong
from .kinds import Kind, present

if TYPE_CHECKING:
    from ..datasets import Encoding

X = Tensor | Mapping[str, Tensor]
RESERVED = frozenset(dir(nn.ModuleDict()))  # "type", "items", ...: heads are kept by the task's name


def rows(x: X) -> int:
    """Count the rows of ``x``, a tensor or a mapping of tensors with equal first axis."""
    return len(x) if isinstance(x, Tensor) else len(next(iter(x.values())))


def take(x: X, index: Tensor) -> X:
    """Gather rows of ``x``: ``(B, *)`` at ``index (b,)`` or ``(T, b)`` gives ``index.shape + (*)``."""
    if isinstance(x, Tensor):
        return x[index]
    return {name: value[index] for name, value in x.items()}


def move(x: X, device: torch.device | str) -> X:
    """Copy ``x`` to a device."""
    return x.to(device) if isinstance(x, Tensor) else {k: v.to(device) for k, v in x.items()}


def join(*parts: X) -> X:
    """Concatenate row by row; mappings must have the same names."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat([p for p in parts if isinstance(p, Tensor)])
    return {name: torch.cat([p[name] for p in parts]) for name in first}  # type: ignore[index]


def _check_equal_rows(x: X) -> None:
    if not isinstance(x, Tensor):
        sizes = {name: len(value) for name, value in x.items()}
        if len(set(sizes.values())) != 1:
            raise wrong("`x`", expected="tensors with one first axis", found=sizes)


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Hold rows without labels, so that a method that must not read labels cannot.

    Args:
        x: a tensor ``(B, *)`` or a mapping of tensors with equal first axis (token ids, mask).

    Raises:
        ValueError: if the tensors of a mapping differ in their first axis.

    Example:
        >>> len(Inputs(torch.zeros(3, 2)))
        3
    """

    x: X

    def __post_init__(self) -> None:
        _check_equal_rows(self.x)

    def __len__(self) -> int:
        return rows(self.x)

    def take(self, index: Tensor) -> Inputs:
        """Gather rows."""
        return Inputs(take(self.x, index))

    def to(self, device: torch.device | str) -> Inputs:
        """Copy to a device."""
        return Inputs(move(self.x, device))


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Hold rows with their targets.

    Args:
        x: a tensor ``(B, *)`` or a mapping of tensors with equal first axis.
        y: targets ``(B, ...)``; a missing label is NaN (float) or -100 (integer).
        complete: promises that no label is missing and no input NaN or infinity, which saves looking
            for them at every step.

    Raises:
        ValueError: if ``x`` and ``y`` have different numbers of rows.

    Example:
        >>> batch = Labelled(torch.zeros(3, 2), torch.tensor([0, 1, -100]))
        >>> batch.present().tolist()
        [True, True, False]
    """

    x: X
    y: Tensor
    complete: bool = False

    def __post_init__(self) -> None:
        _check_equal_rows(self.x)
        if rows(self.x) != len(self.y):
            raise wrong("`y`", expected=f"one target per row of `x` ({rows(self.x)})", found=f"{len(self.y)}")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: Tensor) -> Labelled:
        """Gather rows."""
        return Labelled(take(self.x, index), self.y[index], self.complete)

    def inputs(self) -> Inputs:
        """Forget the labels."""
        return Inputs(self.x)

    def to(self, device: torch.device | str) -> Labelled:
        """Copy to a device."""
        return Labelled(move(self.x, device), self.y.to(device), self.complete)

    def present(self) -> Tensor:
        """Tell which rows have at least one label, as a mask ``(B,)``."""
        return present(self.y)

    def known(self) -> Labelled:
        """Keep the rows that have at least one label."""
        return self.take(self.present().nonzero().flatten())


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Say what is to be learned: inputs, targets and how an answer is scored.

    Args:
        name: names the head, the loss and the rows of every table; without ``.``.
        kind: what an answer is, which gives the loss, the head and the metrics.
        train: labelled rows, or a map-style dataset of ``(x, y)`` pairs.
        valid: rows for choosing settings.
        test: rows to be touched once.
        unlabelled: rows from where the model will run, for domain adaptation.
        encoding: how rows were made (columns, vocabulary, image size), so that new ones are made in the
            same way; ``None`` for tensors of the caller's own.

    Raises:
        ValueError: if the name is empty, contains ``.`` or is one of ``nn.ModuleDict``'s own, or a label
            is not one of the kind's.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.randn(4, 2), torch.tensor([0, 1, 0, 1]))
        >>> Task("coins", Multiclass(["head", "tail"]), rows).kind.outputs
        2
    """

    name: str
    kind: Kind
    train: Labelled | Dataset
    valid: Labelled | Dataset | None = None
    test: Labelled | Dataset | None = None
    unlabelled: Inputs | Dataset | None = None
    encoding: Encoding | None = None

    def __post_init__(self) -> None:
        if not self.name or "." in self.name:
            raise wrong("`name` of a task", expected='a non-empty name without "."', found=f'"{self.name}"')
        if self.name in RESERVED:
            expected = "a name that modules of PyTorch do not use themselves"
            hint = f'call it "{self.name}_"'
            raise wrong("`name` of a task", expected=expected, found=f'"{self.name}"', hint=hint)
        for part in ("train", "valid", "test"):
            data = getattr(self, part)
            if isinstance(data, Labelled):
                try:
                    self.kind.check(data.y)
                except ValueError as error:
                    raise ValueError(f"task {self.name!r}, {part} rows: {error}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """Hold one step of domain adaptation: labelled source rows, target rows without labels."""

    source: Labelled
    target: Inputs

    def to(self, device: torch.device | str) -> Shift:
        """Copy to a device."""
        return Shift(self.source.to(device), self.target.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """Hold a stack of few-shot problems along a leading axis ``T``.

    Args:
        support: rows to adapt on, ``x (T, S, *)``, ``y (T, S)`` in ``[0, ways)`` (or float targets).
        query: rows to be judged on, ``x (T, Q, *)``, ``y (T, Q)``.
        ways: classes per episode; 0 for regression.
    """

    support: Labelled
    query: Labelled
    ways: int

    def __len__(self) -> int:
        return len(self.support.y)

    def episode(self, index: int) -> tuple[Labelled, Labelled]:
        """Return the support and the query set of one episode, without the leading axis."""
        at = torch.tensor(index)
        return self.support.take(at), self.query.take(at)

    def to(self, device: torch.device | str) -> Episodes:
        """Copy to a device."""
        return Episodes(self.support.to(device), self.query.to(device), self.ways)


Batch = Mapping[str, Labelled] | Shift | Episodes
