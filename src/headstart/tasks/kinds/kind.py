"""What every kind of answer is asked, and how one is read from JSON.

Shapes: ``B`` rows, ``C`` classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from inspect import isabstract
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import unknown, wrong
from .measures import Measure
from .missing import present
from .standard import Standard

Label = str | int | bool


class Kind(ABC):
    """Say what an answer is: its loss, its head, its measures, and how labels are written as numbers.

    Everything that the rest of the library does with answers it asks the kind, so a new kind is one
    subclass, a frozen dataclass. What has a body here is the answer of most kinds.

    Attributes:
        metric: name of the main measure.
        classes: the user's own names of the classes; none for numbers.
        exclusive: a row is of exactly one class, so labels are counted, and confused, class by class.
        extensible: the head has one output per class, so classes can be added and left out.
        place: what there is one answer for, such as ``"token"``; empty where that is the row.
        axes: of the places: 1 along a text, 2 across an image, 0 where there is one answer per row.
    """

    metric: str
    classes: tuple[Label, ...] = ()
    exclusive: bool = False
    extensible: bool = False
    place: str = ""
    axes: int = 0

    @property
    def per_row(self) -> bool:
        """There is one answer per row, not one per part of it."""
        return not self.axes

    @property
    def name(self) -> str:
        """The word for the kind in files and messages."""
        return type(self).__name__

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Width of the head's output."""

    @abstractmethod
    def describe(self) -> str:
        """Say what is asked for, so that a wrong guess at the kind of some labels is seen."""

    # Training.

    def head(self, features: int) -> nn.Module:
        """Build the linear layer from ``features`` to this kind's output."""
        return self.placed(nn.Linear(features, self.outputs))

    # Answers at places: what learns them from one row of features each asks these.

    @property
    def single(self) -> Kind:
        """The kind of one answer by itself."""
        return self

    def placed(self, head: nn.Module) -> nn.Module:
        """Make a head for one answer, ``(B, D)`` to ``(B, O)``, into the head for a row."""
        return head

    def entries(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """List features and target of each answer by itself: ``z`` and ``y`` where a row has one."""
        return z, y

    def moved(self, y: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
        """Move the labels of images along, whose place ``u`` is at ``scale u + offset`` after a move.

        Args:
            y: targets ``(B, ...)``.
            scale: of each axis, across and down, in shares of the image, ``(B, 2)``; -1 is a reflection.
            offset: likewise.
        """
        return y

    @abstractmethod
    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Score a prediction against targets, as a scalar to lower.

        Args:
            prediction: what the head gave.
            y: the targets.
            complete: promises that no label is missing, which saves looking for them.
            weights: what a row of each class counts, ``(C,)``; read by kinds with exclusive classes alone.
        """

    def balanced(self, y: Tensor) -> Tensor | None:
        r"""Weigh the classes so that each counts alike, ``(C,)``; ``None`` where none excludes another.

        .. math:: w_c = n / (K n_c)

        with :math:`n_c` of the :math:`n` labelled rows in class ``c`` and ``K`` classes that have any, as
        scikit-learn's ``"balanced"``; 1 for a class without rows.
        """
        if not self.exclusive:
            return None
        numbers = self.numbers(y[present(y)])
        counts = numbers.bincount(minlength=len(self.classes)).float()
        shares = counts * (counts > 0).sum() / max(1, len(numbers))
        return torch.where(counts > 0, 1 / shares, 1.0)

    def constant(self, y: Tensor) -> Tensor:
        """Give the outputs ``(O,)`` that fit all targets at once: the classes' shares as logits, or the mean.

        A class without rows counts half a row, so that its logit is finite.
        """
        if not self.classes:
            return y.double().reshape(-1, self.outputs).nanmean(0).nan_to_num(0.0)
        if not self.exclusive:  # any subset: each label by itself
            counts = torch.stack([(y == 0).sum(0), (y == 1).sum(0)])
        else:
            numbers = self.numbers(y)
            counts = numbers[numbers >= 0].bincount(minlength=len(self.classes))
        logs = counts.clamp(min=0.5).log()
        if self.exclusive and self.extensible:
            return logs - logs.logsumexp(0)
        return logs[1] - logs[0]

    def standard(self, y: Tensor) -> Standard | None:
        """Measure the unit that targets are learned in; ``None`` where they are no numbers."""
        return None

    # Scoring.

    @abstractmethod
    def measures(self) -> dict[str, Measure]:
        """List the measures by name, the main one first."""

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Name the measure that fits these targets, and say why in a few words."""
        return self.metric, f"the main measure of {self.name}"

    def stored(self, outputs: Tensor) -> Tensor:
        """Keep what ``scored`` needs of a head's outputs, as small as measures allow.

        ``kind.scored(kind.stored(outputs).float(), y)`` is scored as ``outputs`` are, up to rounding, and
        what is stored is stored as it is.
        """
        return outputs.float()

    def scored(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn a head's outputs and targets into what ``measures()`` take, without the missing labels.

        Returns:
            predictions, targets, and for each of their entries the row that it comes from, numbered
            among the rows that have a label.
        """
        there = present(y)
        p, t = self._compared(outputs[there], y[there])
        return p, t, torch.arange(len(t))

    def _compared(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Turn rows that have a label into what ``measures()`` compare: here, leave them as they are."""
        return outputs, y

    # Labels and answers.

    @abstractmethod
    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` where a target is not an answer of this kind."""

    @abstractmethod
    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Turn the user's labels, one entry per row, into targets; ``ValueError`` names an unknown one."""

    @abstractmethod
    def decode(self, prediction: Tensor) -> list[Any]:
        """Turn a head's output ``(B, ...)`` into the user's own labels, one entry per row."""

    def probabilities(self, outputs: Tensor) -> Tensor | None:
        """Turn a head's output into the probability of each class, ``(B, C)``; ``None`` without classes."""
        return None

    def numbers(self, y: Tensor) -> Tensor:
        """Return the number of each row's class, ``(B,)`` int64, -100 where it is missing.

        Raises:
            TypeError: if a row is not of exactly one class.
        """
        raise wrong("answers", expected="one class per row", found=self.describe(), error=TypeError)

    def shares(self, y: Tensor) -> dict[Label, float] | None:
        """Give the share of each class among the labels that are there; ``None`` without classes."""
        return None

    def strata(self, y: Tensor) -> list[Hashable] | None:
        """Give each row its stratum, where a division of the rows can keep the classes' shares."""
        return self.numbers(y).tolist() if self.exclusive else None

    # Files.

    def to_json(self) -> dict[str, Any]:
        """Describe the kind as JSON, which ``kind_from_json`` reads."""
        return {"kind": self.name, "classes": list(self.classes)}


def kind_from_json(about: Mapping[str, Any], what: str = "kind") -> Kind:
    """Make a kind from what its ``to_json`` gave.

    Args:
        about: the name of a kind that is imported, and its settings.
        what: how the message calls it.

    Raises:
        ValueError: for the name of no kind.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> kind_from_json(Multiclass(["bolt", "nut"]).to_json())
        Multiclass(classes=('bolt', 'nut'))
    """
    kinds = {kind.__name__: kind for kind in _subclasses(Kind)}  # type: ignore[type-abstract]
    if about["kind"] not in kinds:
        raise unknown(what, about["kind"], kinds)
    return kinds[about["kind"]](**{key: value for key, value in about.items() if key != "kind"})


def _subclasses(base: type[Kind]) -> Iterator[type[Kind]]:
    """List the kinds there are, those of other packages among them."""
    for kind in base.__subclasses__():
        yield from _subclasses(kind)
        if not isabstract(kind):
            yield kind
