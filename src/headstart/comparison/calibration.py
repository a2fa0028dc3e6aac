"""Probabilities that come true: one temperature for all outputs, told by rows that were held out.

Shapes: ``B`` rows, ``C`` classes.

References:
    Guo, Pleiss, Sun & Weinberger (ICML 2017), sections 2 and 4.2, https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..strategies.posing import rescaled
from ..tasks import Kind, Task
from ..tasks.kinds import Standard, present
from .choice import SPARE, smallest

BINS = 15  # of confidence, as in the paper


def can_calibrate(task: Task) -> bool:
    """Tell whether a task has classes, and enough rows of each that a quarter tells how sure to be."""
    return task.kind.exclusive and smallest(task) >= SPARE[0]


def temperature(kind: Kind, outputs: Tensor, y: Tensor) -> float:
    """Find what to divide outputs ``(B, C)`` by, for the least loss on rows that were not trained on.

    Few rows that are all right would have it 0, so it stays near 1 unless many rows speak for another. It
    is 1 where the loss falls by less than a standard error: so few rows do not tell how sure to be.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> sure = torch.tensor([[9.0, 0.0]] * 10)  # of the first class, and wrong three times
        >>> y = torch.tensor([0] * 7 + [1] * 3)
        >>> 3 < temperature(Multiclass(2), sure, y) < 12
        True
    """
    from scipy.optimize import minimize_scalar

    there = present(y)
    outputs, at = outputs[there].double(), kind.numbers(y[there])[:, None]

    def losses(degrees: float) -> Tensor:
        """Give the loss of each row in nats."""
        probabilities = kind.probabilities(outputs / degrees)
        assert probabilities is not None
        return -probabilities.gather(1, at)[:, 0].clamp(min=1e-12).log()

    def loss(log: float) -> float:  # as if a temperature had been drawn, by a factor of two around 1
        return float(losses(math.exp(log)).sum()) + (log / math.log(2)) ** 2 / 2

    found = math.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x)
    better = losses(1.0) - losses(found)
    return found if len(at) > 1 and better.mean() > better.std() / len(at) ** 0.5 else 1.0


def cooled(head: nn.Module, degrees: float, outputs: int) -> nn.Module:
    """Divide what a head says by a temperature, in its last linear layer."""
    ones = torch.ones(outputs, dtype=torch.float64)
    return rescaled(head, Standard(0 * ones, ones / degrees))


def error(kind: Kind, outputs: Tensor, y: Tensor) -> float | None:
    r"""Measure how far confidence is from accuracy (ECE), in [0, 1]; None without classes.

    .. math:: \sum_b \frac{|B_b|}{n} \left| \mathrm{acc}(B_b) - \mathrm{conf}(B_b) \right|
    """
    there = present(y)
    probabilities = kind.probabilities(outputs[there].double())
    if probabilities is None or not kind.exclusive or not len(probabilities):
        return None
    sure, said = probabilities.max(1)
    right = (said == kind.numbers(y[there])).double()
    place = (sure * BINS).ceil().long().clamp(1, BINS) - 1
    gaps = torch.zeros(BINS, dtype=torch.float64).index_add(0, place, right - sure)
    return float(gaps.abs().sum() / len(sure))
