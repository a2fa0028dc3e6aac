"""What the losses of a call of ``fit`` were."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ..errors import wrong


@dataclass(frozen=True, slots=True)
class History:
    """Hold what the losses were at every step.

    Args:
        losses: one list per loss, in the loss's own unit; NaN at steps where the loss was absent.
        seconds: time spent in training, over all the runs that it was resumed in.

    Example:
        >>> History({"digits": [2.3, 2.1]}, seconds=0.1).losses["digits"][-1]
        2.1
    """

    losses: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0


class Log:
    """Collect the losses of every step, NaN where one is absent."""

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {}
        self.last: dict[str, float] = {}
        self.steps = 0
        self.seconds = 0.0  # spent before this process

    def add(self, losses: dict[str, Tensor], step: int) -> None:
        """Append one step's losses; ``FloatingPointError`` names the first that is not finite."""
        if not isinstance(losses, Mapping):
            hint = 'return them by name, as in {"task": loss}'
            found = type(losses).__name__
            raise wrong(
                "result of `objective`", expected="a mapping", found=found, hint=hint, error=TypeError
            )
        if not losses:
            raise wrong("`objective`", expected="at least one loss in its result", found="none")
        self.append(check_finite(losses, step))

    def append(self, values: dict[str, float]) -> None:
        """Append one step's numbers."""
        for name, value in values.items():
            if name not in self.columns:
                self.columns[name] = [math.nan] * self.steps
            self.columns[name].append(value)
        self.last = values
        self.steps += 1
        if len(values) < len(self.columns):
            for name in self.columns.keys() - values.keys():
                self.columns[name].append(math.nan)


def check_finite(losses: Mapping[str, Tensor], step: int) -> dict[str, float]:
    """Return the losses as numbers; ``FloatingPointError`` names the first that is not finite.

    Example:
        >>> import torch
        >>> check_finite({"a": torch.tensor(0.5)}, 0)
        {'a': 0.5}
    """
    values = {}
    for name, loss in losses.items():
        if not isinstance(loss, Tensor):
            what, found = f'loss "{name}" at step {step}', type(loss).__name__
            hint = "leave out `.item()` and `float()`, which cut it off from the weights"
            raise wrong(what, expected="a tensor with a graph", found=found, hint=hint, error=TypeError)
        if loss.numel() != 1:
            what, found = f'loss "{name}" at step {step}', f"of shape {tuple(loss.shape)}"
            raise wrong(what, expected="one number", found=found, hint="take its mean")
        values[name] = value = loss.item()
        if not math.isfinite(value):
            raise wrong(
                f'loss "{name}" at step {step}',
                expected="finite",
                found=value,
                hint="lower `lr` or pass `clip=1.0`",
                error=FloatingPointError,
            )
    return values
