"""The number that choosing does not flatter: the way in front, on rows and seeds that chose nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..maths import twoway
from . import outputs
from .plan import Plan
from .tables import halves, read_trials, scored
from .trials import Seeds
from .verdicts import gain_of, upwards

FRESH = 5  # seeds


def due(plan: Plan, way: str, baseline: str) -> tuple[Plan, Seeds]:
    """Say what to run: two ways at the largest amount, with seeds that nothing was chosen by."""
    first = max(plan.seeds) + 1
    fresh = list(range(first, first + FRESH))
    cells = {(name, plan.amounts[-1]): fresh for name in (way, baseline)}
    return replace(plan, seeds=[plan.seeds[0], *fresh]), cells


def confirmed(plan: Plan, target: str, way: str, baseline: str) -> dict[str, Any] | None:
    """Measure the gain on the half of the test rows that the choice did not see, over the fresh seeds.

    Args:
        plan: as ``due`` gave it.

    Returns:
        ``gain`` with its interval, which stands alone, ``seeds`` and ``test_rows``; None where trials failed.
    """
    amount, found = plan.amounts[-1], read_trials(plan)
    good = [scored(found[name, amount], target) for name in (way, baseline)]
    seeds = [s for s in plan.seeds[1:] if all(s in trials for trials in good)]
    if len(seeds) < 2:
        return None
    metric = plan.problem.scored_by(target)
    tables = [outputs.table(plan, target, [(name, amount, s) for s in seeds]) for name in (way, baseline)]
    _, kept = halves(tables[0].shape[1])
    both = twoway.two_way(np.stack([upwards(metric, table[:, kept]) for table in tables]))
    over = twoway.differences(both, [0], 1)
    half = twoway.widths(over)[0]
    low, value, high = (float(over.estimate[0] + move) for move in (-half, 0.0, half))
    return {
        "strategy": way,
        "baseline": baseline,
        "gain": gain_of(metric, value),
        "gain_ci95": [gain_of(metric, low), gain_of(metric, high)],
        "seeds": seeds,
        "test_rows": int(kept.sum()),
    }
