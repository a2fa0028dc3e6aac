"""One of several classes for each token of a sequence.

Shapes: ``B`` rows, ``L`` tokens of a sequence, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from .kind import Label
from .measures import UNIT, Measure
from .missing import MISSING, known, present, said
from .multiclass import MEASURES
from .named import below_the_top, listed, numbered, shares_of, suited_to
from .placed import Placed
from .spans import Spans, marks_spans


@final
@dataclass(frozen=True, init=False)
class Tokens(Placed):
    """One of several classes for each token of a sequence.

    Where the classes are tags of spans (``O``, ``B-city``, ``I-city``), the spans are scored too.

    Args:
        classes: how many, or the user's own names.

    Shape:
        prediction ``(B, L, C)`` logits, ``y (B, L)`` int64 in ``[0, C)`` or -100 (padding, missing).

    Example:
        >>> Tokens(["O", "B-city"]).decode(torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]))
        [['O', 'B-city']]
    """

    place = "token"
    axes = 1

    def describe(self) -> str:
        """Count the classes and list the first of them."""
        return listed(self.classes, "classes for each token")

    def measures(self) -> dict[str, Measure]:
        """Those of ``Multiclass``, over tokens; of tags of spans also their F1."""
        if not self._spans:
            return dict(MEASURES)
        found = {name: replace(measure, of=_of_tags(measure.of)) for name, measure in MEASURES.items()}
        return found | {"span_f1": Measure("span_f1", Spans(tuple(map(str, self.classes))), bounds=UNIT)}

    @property
    def _spans(self) -> bool:
        return marks_spans(self.classes)

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Accuracy; F1 of spans where tags mark them; of two classes balanced accuracy where one is rare."""
        if self._spans:
            return "span_f1", "the tags mark spans, which are right as a whole or not"
        if len(self.classes) == 2:
            return suited_to(self.shares(y), self.metric, "tokens")
        return self.metric, "tags are scored by the share of the tokens that are right"

    def stored(self, outputs: Tensor) -> Tensor:
        """Keep log-probabilities relative to the highest, float16; the likeliest class stays it."""
        return below_the_top(outputs)

    def scored(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Line up the tokens that have a label, each with the row that it comes from.

        What is longer is cut: answers behind the last label, labels behind the last answer. Where tags mark
        spans, targets are ``(n, 2)``: the tag, and the number of the row.
        """
        length = min(outputs.shape[1], y.shape[1])
        there = present(y)
        outputs, y = outputs[there, :length], y[there, :length]
        here = known(y)
        row = here.nonzero()[:, 0]
        return outputs[here], torch.stack([y[here], row], 1) if self._spans else y[here], row

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Number the labels of each row, ``(B, L)`` int64, -100 behind the shorter rows."""
        y = torch.full((len(labels), max(map(len, labels), default=0)), MISSING)
        for row, some in zip(y, labels, strict=True):
            row[: len(some)] = numbered(self.classes, some)
        return y

    def decode(self, prediction: Tensor) -> list[list[Label]]:
        """Name the likeliest class of each token."""
        return [[self.classes[i] for i in row] for row in said(prediction).argmax(2).tolist()]

    def shares(self, y: Tensor) -> dict[Label, float]:
        """Give the share of each class among the labelled tokens."""
        return shares_of(self.classes, y.flatten())


def _of_tags(of: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Let a measure of classes read the tags alone."""
    return lambda p, t, w: of(p, t[:, 0], w)
