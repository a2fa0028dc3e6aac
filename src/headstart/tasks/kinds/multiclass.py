"""One of several classes.

Shapes: ``B`` rows, ``C`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor

from .decisions import accuracy, balanced_accuracy, classes_f1
from .deviations import classes_brier, classes_log_loss
from .kind import Label
from .measures import UNIT, Measure, by_name
from .missing import MISSING, known, said
from .named import Named, below_the_top, check_axes, check_numbers, numbered, shares_of, suited_to
from .ranks import classes_auroc, classes_average_precision

MEASURES = by_name(
    Measure("accuracy", accuracy, bounds=UNIT),
    Measure("balanced_accuracy", balanced_accuracy, bounds=UNIT, balanced=True),
    Measure("macro_f1", classes_f1, bounds=UNIT, balanced=True),
    Measure("auroc", classes_auroc, bounds=UNIT),
    Measure("average_precision", classes_average_precision, bounds=UNIT),
    Measure("log_loss", classes_log_loss, higher_is_better=False, bounds=(0, math.inf), ratio=True),
    Measure("brier", classes_brier, higher_is_better=False, bounds=(0, 2)),
)


@final
@dataclass(frozen=True, init=False)
class Multiclass(Named):
    """One of several classes.

    Args:
        classes: how many, or the user's own names (strings, any integers).

    Shape:
        prediction ``(B, C)`` logits, ``y (B,)`` int64 in ``[0, C)`` or -100.

    Example:
        >>> import torch
        >>> kind = Multiclass(["bolt", "nut"])
        >>> kind.decode(torch.tensor([[0.1, 2.0]]))
        ['nut']
        >>> float(kind.loss(torch.zeros(2, 2), torch.tensor([0, -100])))  # doctest: +ELLIPSIS
        0.693...
    """

    metric = "accuracy"
    exclusive = True
    extensible = True

    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Cross-entropy in nats per labelled row, each row times the weight of its class."""
        if complete and weights is None:
            return F.cross_entropy(prediction, y)
        if weights is not None:
            weights = weights.to(prediction)
        there = known(y).sum().clamp(min=1)
        return F.cross_entropy(prediction, y, weights, ignore_index=MISSING, reduction="sum") / there

    def measures(self) -> dict[str, Measure]:
        """Accuracy and what else the field scores classes by, from logits."""
        return dict(MEASURES)

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Accuracy; balanced accuracy where a class is rare."""
        return suited_to(self.shares(y), self.metric)

    def stored(self, outputs: Tensor) -> Tensor:
        """Keep log-probabilities relative to the highest, float16; the likeliest class stays it."""
        return below_the_top(outputs)

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a target outside the classes."""
        check_axes(y, "rows")
        check_numbers(y, len(self.classes))

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Number the user's labels, ``(B,)`` int64; ``ValueError`` names an unknown one."""
        return numbered(self.classes, labels)

    def decode(self, prediction: Tensor) -> list[Label]:
        """Name the likeliest class of each row."""
        return [self.classes[i] for i in said(prediction).argmax(1).tolist()]

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Softmax of the logits, ``(B, C)``."""
        return outputs.softmax(1)

    def numbers(self, y: Tensor) -> Tensor:
        """Return the targets, which are the classes' numbers."""
        return y

    def shares(self, y: Tensor) -> dict[Label, float]:
        """Give the share of each class among the labelled rows."""
        return shares_of(self.classes, y)
