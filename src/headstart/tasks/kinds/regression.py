"""Real numbers.

Shapes: ``B`` rows, ``O`` outputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import wrong
from .deviations import mae, r2, rmse
from .kind import Kind
from .measures import Measure, by_name
from .missing import known, mean_over_present, present
from .ranks import spearman
from .standard import Standard

MEASURES = by_name(
    Measure("r2", r2, bounds=(-math.inf, 1), ratio=True),
    Measure("rmse", rmse, higher_is_better=False, bounds=(0, math.inf), ratio=True),
    Measure("mae", mae, higher_is_better=False, bounds=(0, math.inf), ratio=True),
    Measure("spearman", spearman, bounds=(-1, 1)),
)


@final
@dataclass(frozen=True)
class Regression(Kind):
    """Real numbers.

    Args:
        outputs: numbers per row.

    Shape:
        prediction ``(B, O)``, ``y (B, O)`` (or ``(B,)`` where ``O`` is 1) float or NaN.

    Example:
        >>> Regression().decode(torch.tensor([[2.5]]))
        [2.5]
    """

    outputs: int = 1
    metric = "r2"

    def __post_init__(self) -> None:
        if self.outputs < 1:
            raise wrong("`outputs`", expected="at least 1", found=self.outputs)

    def describe(self) -> str:
        """Count the numbers."""
        return f"{'a number' if self.outputs == 1 else f'{self.outputs} numbers'} (regression)"

    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Squared error in squared target units per number that is there."""
        y = y.reshape(prediction.shape)
        if complete:
            return F.mse_loss(prediction, y.to(prediction.dtype))
        return mean_over_present((prediction - y.nan_to_num(0).to(prediction.dtype)).square(), known(y))

    def standard(self, y: Tensor) -> Standard:
        """Measure the centre and the scale of each number."""
        return Standard.of(y.reshape(len(y), self.outputs))

    def measures(self) -> dict[str, Measure]:
        """Coefficient of determination, root mean squared and mean absolute error, rank correlation."""
        return dict(MEASURES)

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Coefficient of determination."""
        return self.metric, "numbers: the share of their variance that is explained"

    def scored(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Line up the rows that have a number; NaN where one of several is missing."""
        y = y.reshape(outputs.shape).to(outputs.dtype)
        there = present(y)
        return outputs[there].squeeze(1), y[there].squeeze(1), torch.arange(int(there.sum()))

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for integer targets, a wrong width or an infinite number."""
        if not y.is_floating_point():
            raise wrong("`y`", expected="float targets", found=str(y.dtype), hint="call `y.float()`")
        if y.ndim > 2 or (y.ndim == 2 and y.shape[1] != self.outputs) or (y.ndim == 1 and self.outputs != 1):
            raise wrong("`y`", expected=f"shape (rows, {self.outputs})", found=tuple(y.shape))
        if y.isinf().any():
            raise wrong("`y`", expected="finite numbers, or NaN where missing", found="infinity")

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Write numbers ``(B,)`` or ``(B, O)`` as float targets."""
        return torch.as_tensor(labels, dtype=torch.float32)

    def decode(self, prediction: Tensor) -> list[float] | list[list[float]]:
        """Return plain numbers."""
        return prediction.squeeze(1).tolist() if self.outputs == 1 else prediction.tolist()

    def to_json(self) -> dict[str, Any]:
        """Describe the kind as JSON, which ``kind_from_json`` reads."""
        return {"kind": self.name, "outputs": self.outputs}
