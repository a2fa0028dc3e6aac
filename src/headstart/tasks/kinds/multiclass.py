"""One of several classes.

Shapes: ``B`` rows, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor

from .kind import Label
from .measures import Measure, accuracy, classes_f1
from .missing import MISSING, known
from .named import Named, check_axes, check_numbers, numbered


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
    bounds = (0.0, 1.0)
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
        """Accuracy and macro F1."""
        return {"accuracy": accuracy, "macro_f1": classes_f1}

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a target outside the classes."""
        check_axes(y, "rows")
        check_numbers(y, len(self.classes))

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Number the user's labels, ``(B,)`` int64; ``ValueError`` names an unknown one."""
        return numbered(self.classes, labels)

    def decode(self, prediction: Tensor) -> list[Label]:
        """Name the likeliest class of each row."""
        return [self.classes[i] for i in prediction.argmax(1).tolist()]

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Softmax of the logits, ``(B, C)``."""
        return outputs.softmax(1)

    def numbers(self, y: Tensor) -> Tensor:
        """Return the targets, which are the classes' numbers."""
        return y
