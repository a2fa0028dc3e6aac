"""One of several classes for each token of a sequence.

Shapes: ``B`` rows, ``L`` tokens of a sequence, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from .kind import Label
from .measures import Measure
from .missing import MISSING, known, present
from .multiclass import MEASURES, Multiclass
from .named import Named, below_the_top, check_axes, check_numbers, numbered, shares_of, suited_to


@final
@dataclass(frozen=True, init=False)
class Tokens(Named):
    """One of several classes for each token of a sequence.

    Args:
        classes: how many, or the user's own names.

    Shape:
        prediction ``(B, L, C)`` logits, ``y (B, L)`` int64 in ``[0, C)`` or -100 (padding, missing).

    Example:
        >>> Tokens(["O", "B-city"]).decode(torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]))
        [['O', 'B-city']]
    """

    metric = "accuracy"
    per_row = False

    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Cross-entropy in nats per labelled token."""
        return Multiclass(self.classes).loss(
            prediction.flatten(0, 1), y.flatten(), complete=complete, weights=weights
        )

    def measures(self) -> dict[str, Measure]:
        """Those of ``Multiclass``, over tokens."""
        return dict(MEASURES)

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Accuracy; balanced accuracy where a class is rare."""
        return suited_to(self.shares(y), self.metric, "tokens")

    def stored(self, outputs: Tensor) -> Tensor:
        """Keep log-probabilities relative to the highest, float16; the likeliest class stays it."""
        return below_the_top(outputs)

    def scored(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Line up the tokens that have a label, each with the row that it comes from."""
        there = present(y)
        outputs, y = outputs[there], y[there]
        here = known(y)
        return outputs[here], y[here], here.nonzero()[:, 0]

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a target outside the classes."""
        check_axes(y, "rows", "tokens")
        check_numbers(y, len(self.classes))

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Number the labels of each row, ``(B, L)`` int64, -100 behind the shorter rows."""
        y = torch.full((len(labels), max(map(len, labels), default=0)), MISSING)
        for row, some in zip(y, labels, strict=True):
            row[: len(some)] = numbered(self.classes, some)
        return y

    def decode(self, prediction: Tensor) -> list[list[Label]]:
        """Name the likeliest class of each token."""
        return [[self.classes[i] for i in row] for row in prediction.argmax(2).tolist()]

    def shares(self, y: Tensor) -> dict[Label, float]:
        """Give the share of each class among the labelled tokens."""
        return shares_of(self.classes, y.flatten())
