r"""What a measure is: a function of predictions, targets and weights, and the facts that readers need.

The functions are in ``decisions.py`` (of what is said), ``ranks.py`` (of the order) and
``deviations.py`` (of the numbers); which of them a kind has, it lists itself.

Shapes: ``R`` reweightings, ``n`` rows, ``C`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

UNIT = (0.0, 1.0)


@dataclass(frozen=True)
class Measure:
    """Score predictions, for many reweightings of the rows at once.

    A measure takes predictions and targets as ``kind.scored`` gives them and weights ``(R, n)``, and
    returns ``(R,)``: a row of ones gives the metric itself, a row of counts from a draw with
    replacement gives it on that bootstrap sample. The scale of the weights does not matter. Where a
    metric is not defined (area under the ROC curve with one class) it is NaN; elsewhere it has a
    gradient in the weights.

    Args:
        name: as in results.
        of: the function of predictions, targets and weights.
        higher_is_better: which way is up.
        bounds: lowest and highest value that it can have.
        ratio: a gain is a ratio of errors: of the values where lower is better, else of what they lack to 1.
        balanced: it counts classes alike, so training with balanced class weights fits it.

    Example:
        >>> import torch
        >>> hits = Measure("hits", lambda p, t, w: w @ (p == t).to(w) / w.sum(1), bounds=(0, 1))
        >>> hits(torch.tensor([1, 2]), torch.tensor([1, 1]), torch.tensor([[1.0, 1.0], [3.0, 1.0]])).tolist()
        [0.5, 0.75]
    """

    name: str
    of: Callable[[Tensor, Tensor, Tensor], Tensor]
    higher_is_better: bool = True
    bounds: tuple[float, float] = (-math.inf, math.inf)
    ratio: bool = False
    balanced: bool = False

    def __call__(self, p: Tensor, t: Tensor, w: Tensor) -> Tensor:
        """Score predictions ``p (n, ...)`` against targets ``t (n, ...)`` at weights ``w (R, n)``."""
        return self.of(p, t, w)

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.higher_is_better else -1


def by_name(*measures: Measure) -> dict[str, Measure]:
    """List measures by their names."""
    return {measure.name: measure for measure in measures}


def sums(w: Tensor, numbers: Tensor, count: int) -> Tensor:
    """Sum weights ``(R, n)`` by the number of their row ``(n,)``: ``(R, count)``."""
    return w.new_zeros(len(w), count).scatter_add(1, numbers.expand(len(w), -1), w)


def macro(parts: Tensor, wholes: Tensor) -> Tensor:
    """Average ``parts / wholes``, both ``(R, C)``, over the classes whose whole is not 0; NaN without one."""
    there = wholes > 0
    return (parts / wholes.where(there, 1.0)).where(there, 0.0).sum(1) / there.sum(1)
