"""What looks wrong in the losses of a net that was aligned: told by name, with the step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

LEAST = 40  # steps, below which nothing is said
PARTS = 20  # of a run, over each of which losses are averaged
RISES = 1.25  # times the lowest loss of labels
BY = 0.05  # that it rises by as well, in the loss's unit
TOLD = 0.05  # nats of a critic that tells nearly every row's side


def troubles(curves: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """List a loss of labels that rises, and a critic that has won or no longer moves.

    Args:
        curves: losses by step, under names such as ``"align: label"``.

    Returns:
        for each ``alarm`` and the ``step`` from which on.

    Example:
        >>> falls, rises = [1 - n / 200 for n in range(100)], [0.5 + n / 100 for n in range(100)]
        >>> troubles({"align: label": falls + rises})
        [{'alarm': 'label loss rises', 'step': 100}]
    """
    found = []
    for name, values in curves.items():
        kind = name.rpartition(": ")[2]
        if len(values) < LEAST or kind not in ("label", "domain"):
            continue
        size = len(values) // PARTS
        means = [sum(values[i : i + size]) / size for i in range(0, len(values) - size + 1, size)]
        if kind == "label":
            lowest = means.index(min(means))
            if means[-1] > max(RISES * means[lowest], means[lowest] + BY):
                found.append({"alarm": "label loss rises", "step": (lowest + 1) * size})
        elif means[-1] < TOLD:
            since = next(i for i in range(len(means)) if max(means[i:]) < TOLD)
            found.append({"alarm": "critic has won", "step": since * size})
        elif all(_alike(v, values[-1]) for v in values[-2 * size :]):
            still = next(i for i in range(len(values)) if all(_alike(v, values[-1]) for v in values[i:]))
            found.append({"alarm": "critic is lost", "step": still})
    return found


def _alike(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-6)
