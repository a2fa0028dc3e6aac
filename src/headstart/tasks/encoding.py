"""How rows are made of what a user has, kept with the model so that new rows are made in the same way.

One class for each family of readers says it, beside its reader: ``TableEncoding``, ``TextEncoding``,
``ImageEncoding``, ``ArrayEncoding``.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from .arrays import ready
from .kinds import Kind, Label


@dataclass(frozen=True, kw_only=True)
class Encoding(ABC):
    """Say how rows were made, and make others like them.

    Args:
        reader: the reader of the training data.
        duplicates: how many test rows were equal to a train row.
        target: the name of what was asked for.
        kind: the name of its kind.
        classes: its classes; ``None`` where there are none, or new rows may have others.
        division: the numbers of the rows that went to each part, so that another reading of the same data
            can divide them alike; not kept with a model.

    Example:
        >>> from headstart.datasets import read
        >>> (task,) = read("digits:5-9")
        >>> task.encoding.to_json()
        {'reader': 'images', 'shape': [1, 8, 8], 'target': 'digits_5-9', 'kind': 'Multiclass', 'classes': [5, 6, 7, 8, 9]}
        >>> task.encoding.rows(task.test.x[:2]).shape
        torch.Size([2, 1, 8, 8])
    """  # noqa: E501

    readers: ClassVar[tuple[str, ...]]  # whose rows are made in this way
    reader: str
    duplicates: int = 0
    target: str = ""
    kind: str = ""
    classes: tuple[Label, ...] | None = None
    division: Mapping[str, Tensor] | None = field(default=None, compare=False, repr=False)

    # What each family says.

    @classmethod
    @abstractmethod
    def from_json(cls, about: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""

    @abstractmethod
    def _own(self) -> dict[str, Any]:
        """Return what JSON says beyond what all encodings have."""

    @abstractmethod
    def row_shape(self) -> tuple[int, ...]:
        """Return the shape of a row."""

    @abstractmethod
    def encode(self, path: Path) -> Tensor:
        """Make the rows of a file or a folder, ``(N, *)``, in its order."""

    @abstractmethod
    def _made(self, value: Any) -> Tensor:
        """Make rows of what is in memory and no tensor."""

    # What some say otherwise.

    def _ready(self, rows: Tensor) -> Tensor:
        """Take rows as they are, if they are such."""
        return ready(rows, self.row_shape())

    def facts(self) -> dict[str, Any]:
        """Return what a backbone may ask of it."""
        return {}

    def words(self) -> tuple[str, ...]:
        """Return the words by whose numbers rows were made; none where they are no words."""
        return ()

    def words_at(self, rows: Tensor) -> list[list[int]] | None:
        """Tell at which places of each row its words begin; ``None`` where rows are not made of words."""
        return None

    def line_up(self, rows: Tensor, y: Tensor) -> Tensor:
        """Put answers that come word by word, ``(N, W)``, where the words begin; else leave them."""
        return y

    def inputs(self) -> Collection[str]:
        """Return the columns that no label may be among, since they are inputs."""
        return ()

    def written(self) -> Collection[str]:
        """Return the columns whose text has to be as it was written, since they are no plain numbers."""
        return ()

    def files(self, path: Path) -> list[Path]:
        """List the files under a path that become a row each; none where a file holds many rows."""
        return []

    def load(self, files: Sequence[Any], skip_broken: bool = False) -> tuple[Tensor, list[int]]:
        """Make the row of each file, and tell which files they came from."""
        return torch.cat([self.encode(Path(file)) for file in files]), list(range(len(files)))

    def preparation(self) -> list[str]:
        """Say, step by step, what a program without this library has to do to make rows."""
        return ["make rows of numbers as this encoding says"]

    def made_up(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw rows of the right shape and range, which stand for none that were seen."""
        return torch.randn(count, *self.row_shape(), generator=generator)

    # What all say alike.

    def rows(self, value: Any) -> Tensor:
        """Make rows ``(N, *)`` of what is in memory.

        Args:
            value: what the training data were, without labels or with: a pandas or polars DataFrame, a
                list of texts, of paths of images or of images of Pillow, or an array. A tensor holds
                rows as they are.

        Raises:
            ValueError: if a column is missing, or rows have another shape.
            TypeError: if it is another kind of thing.
        """
        return self._ready(value) if isinstance(value, Tensor) else self._made(value)

    def feature_names(self) -> list[str]:
        """Name the numbers of a row, where each has a name; none where they have not."""
        return []

    def differs(self, other: Encoding | None) -> str:
        """Say why rows of another encoding cannot be mixed with these; ``""`` where they can."""
        ours, theirs = self.words(), other.words() if other is not None else ()
        return "a vocabulary of their own" if ours and theirs and ours != theirs else ""

    def reads(self, reader: str) -> bool:
        """Tell whether rows of that reader are made in this way; arrays are rows already."""
        return reader == "npz" or reader in self.readers

    def alike(self) -> Self:
        """Return how rows are made alone, so that labels may be others."""
        return dataclasses.replace(self, duplicates=0, target="", kind="", classes=None, division=None)

    def asking(self, target: str, kind: Kind) -> Self:
        """Return it with what is asked for."""
        return dataclasses.replace(self, target=target, kind=kind.name, classes=kind.classes or None)

    def with_classes(self, classes: Sequence[Label]) -> Self:
        """Return it with other classes."""
        return dataclasses.replace(self, classes=tuple(classes))

    def classes_of(self, target: str) -> tuple[Label, ...] | None:
        """Return the classes, where ``target`` is what was asked for."""
        return self.classes if target == self.target else None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; ``hs.datasets.encoding_from_json`` is the way back."""
        about = {"duplicates": self.duplicates, "target": self.target, "kind": self.kind}
        known = {key: value for key, value in about.items() if value}
        classes = {} if self.classes is None else {"classes": list(self.classes)}
        return {"reader": self.reader} | self._own() | known | classes


def common(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all encodings have, from JSON."""
    classes = about.get("classes")
    return {
        "reader": about["reader"],
        "duplicates": about.get("duplicates", 0),
        "target": about.get("target", ""),
        "kind": about.get("kind", ""),
        "classes": None if classes is None else tuple(classes),
    }
