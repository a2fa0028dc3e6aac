"""Any subset of several labels.

Shapes: ``B`` rows, ``C`` classes.
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
from .decisions import labels_f1
from .deviations import labels_brier, labels_log_loss
from .kind import Label
from .measures import UNIT, Measure, by_name
from .missing import MISSING, said
from .named import Named, listed, numbered
from .ranks import labels_auroc, labels_average_precision

MEASURES = by_name(
    Measure("auroc", labels_auroc, bounds=UNIT),
    Measure("map", labels_average_precision, bounds=UNIT),
    Measure("macro_f1", labels_f1, bounds=UNIT),
    Measure("log_loss", labels_log_loss, higher_is_better=False, bounds=(0, math.inf), ratio=True),
    Measure("brier", labels_brier, higher_is_better=False, bounds=UNIT),
)


@final
@dataclass(frozen=True, init=False)
class Multilabel(Named):
    """Any subset of several labels.

    Args:
        classes: how many, or the user's own names.

    Shape:
        prediction ``(B, C)`` logits, ``y (B, C)`` float in {0, 1} or NaN.

    Example:
        >>> Multilabel(["beach", "dog"]).decode(torch.tensor([[2.0, 1.0], [-1.0, 3.0]]))
        [['beach', 'dog'], ['dog']]
    """

    least = 1
    metric = "auroc"

    def describe(self) -> str:
        """Count the labels and list the first of them."""
        return listed(self.classes, "labels, any of them")

    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Binary cross-entropy in nats per label that is there."""
        return yes_or_no.cross_entropy(prediction, y, complete)

    def measures(self) -> dict[str, Measure]:
        """Means over the labels that occur; log loss and Brier score over all entries that are there."""
        return dict(MEASURES)

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Macro area under the ROC curve."""
        return self.metric, "any of several labels: each label counts alike, however rare"

    def stored(self, outputs: Tensor) -> Tensor:
        """Keep logits as float16 in [-60, 60]."""
        return yes_or_no.stored(outputs)

    def _compared(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities, float64 so that few tie at 1, and targets with -100 for a missing label."""
        return outputs.double().sigmoid(), y.nan_to_num(MISSING).long()

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a wrong width or a target other than 0, 1 and NaN."""
        if y.ndim != 2 or y.shape[1] != len(self.classes):
            raise wrong("`y`", expected=f"shape (rows, {len(self.classes)})", found=tuple(y.shape))
        yes_or_no.check(y)

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Mark the labels of each row, ``(B, C)`` float; ``ValueError`` names an unknown one."""
        y = torch.zeros(len(labels), len(self.classes))
        for row, some in zip(y, labels, strict=True):
            row[numbered(self.classes, some)] = 1
        return y

    def decode(self, prediction: Tensor) -> list[list[Label]]:
        """List the labels of each row whose probability is over one half."""
        return [
            [c for c, v in zip(self.classes, row, strict=True) if v > 0] for row in said(prediction).tolist()
        ]

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label by itself, ``(B, C)``."""
        return outputs.sigmoid()

    def shares(self, y: Tensor) -> dict[Label, float]:
        """Give the share of each label among the rows where it is not missing."""
        return dict(zip(self.classes, y.double().nanmean(0).nan_to_num(0).tolist(), strict=True))
