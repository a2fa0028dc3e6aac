"""Any subset of several labels.

Shapes: ``B`` rows, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ...errors import wrong
from . import yes_or_no
from .kind import Label
from .measures import Measure, labels_auroc, labels_f1
from .missing import MISSING
from .named import Named, listed, numbered


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
    bounds = (0.0, 1.0)

    def describe(self) -> str:
        """Count the labels and list the first of them."""
        return listed(self.classes, "labels, any of them")

    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Binary cross-entropy in nats per label that is there."""
        return yes_or_no.cross_entropy(prediction, y, complete)

    def measures(self) -> dict[str, Measure]:
        """Macro area under the ROC curve and macro F1; labels that never occur are left out."""
        return {"auroc": labels_auroc, "macro_f1": labels_f1}

    def _compared(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and targets with -100 for a missing label."""
        return outputs.sigmoid(), y.nan_to_num(MISSING).long()

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
        return [[c for c, v in zip(self.classes, row, strict=True) if v > 0] for row in prediction.tolist()]

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label by itself, ``(B, C)``."""
        return outputs.sigmoid()
