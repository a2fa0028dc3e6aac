"""Yes or no.

Shapes: ``B`` rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ...errors import wrong
from . import yes_or_no
from .decisions import binary_accuracy, binary_balanced_accuracy, binary_f1
from .deviations import binary_brier, binary_log_loss
from .kind import Kind, Label
from .measures import UNIT, Measure, by_name
from .missing import MISSING, said
from .named import check_axes, class_names, listed, numbered, shares_of, suited_to
from .ranks import auroc, average_precision

MEASURES = by_name(
    Measure("accuracy", binary_accuracy, bounds=UNIT),
    Measure("balanced_accuracy", binary_balanced_accuracy, bounds=UNIT, balanced=True),
    Measure("auroc", auroc, bounds=UNIT),
    Measure("average_precision", average_precision, bounds=UNIT),
    Measure("f1", binary_f1, bounds=UNIT),
    Measure("log_loss", binary_log_loss, higher_is_better=False, bounds=(0, math.inf), ratio=True),
    Measure("brier", binary_brier, higher_is_better=False, bounds=UNIT),
)


@final
@dataclass(frozen=True)
class Binary(Kind):
    """Yes or no, from one logit.

    Args:
        classes: the user's names of the negative and the positive class.

    Shape:
        prediction ``(B, 1)`` logits, ``y (B,)`` float in {0, 1} or NaN.

    Example:
        >>> Binary(("ham", "spam")).decode(torch.tensor([[1.5], [-2.0]]))
        ['spam', 'ham']
    """

    classes: tuple[Label, ...] = (0, 1)
    metric = "accuracy"
    exclusive = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", class_names(self.classes))
        if len(self.classes) != 2:
            raise wrong("`classes`", expected="two names", found=len(self.classes))

    @property
    def outputs(self) -> int:
        """Width of the head's output."""
        return 1

    def describe(self) -> str:
        """List the two classes."""
        return listed(self.classes)

    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Binary cross-entropy in nats per labelled row, each row times the weight of its class."""
        return yes_or_no.cross_entropy(prediction[:, 0], y, complete, weights)

    def measures(self) -> dict[str, Measure]:
        """Accuracy and what else the field scores a yes or no by; F1 and precision of the positive class."""
        return dict(MEASURES)

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Accuracy; balanced accuracy where a class is rare."""
        return suited_to(self.shares(y), self.metric)

    def stored(self, outputs: Tensor) -> Tensor:
        """Keep logits as float16 in [-60, 60]."""
        return yes_or_no.stored(outputs)

    def _compared(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities of the positive class, float64 so that few tie at 1, and targets."""
        return outputs[:, 0].double().sigmoid(), y.long()

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a target other than 0, 1 and NaN."""
        check_axes(y, "rows")
        yes_or_no.check(y)

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Number the user's labels, ``(B,)`` float; ``ValueError`` names an unknown one."""
        return numbered(self.classes, labels).float()

    def decode(self, prediction: Tensor) -> list[Label]:
        """Name the likelier class of each row."""
        return [self.classes[int(v > 0)] for v in said(prediction)[:, 0].tolist()]

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of the negative and the positive class, ``(B, 2)``."""
        return torch.cat([-outputs, outputs], 1).sigmoid()

    def numbers(self, y: Tensor) -> Tensor:
        """Return 0 or 1 for each row, -100 where it is missing."""
        return y.nan_to_num(MISSING).long()

    def shares(self, y: Tensor) -> dict[Label, float]:
        """Give the share of each class among the labelled rows."""
        return shares_of(self.classes, self.numbers(y))
