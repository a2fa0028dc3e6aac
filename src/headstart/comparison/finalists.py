"""Which of several backbones are worth training: frozen features are cheap, and say much of the rest."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from statistics import mean, stdev
from typing import Any

from ..strategies import Strategy
from .plan import Plan

FROZEN = "backbone"  # what a strategy that trains no backbone says of itself


def worth(promises: Mapping[str, Sequence[float]], least: float) -> dict[str, bool]:
    """Tell which backbones are worth training: those not behind the best by ``least`` and a standard error.

    Args:
        promises: held-out scores of each, higher is better, by the same seeds.
        least: the smallest difference that matters.

    Example:
        >>> worth({"a": [0.9, 0.8, 0.9], "b": [0.6, 0.6, 0.5], "c": [0.88, 0.82, 0.89]}, 0.01)
        {'a': True, 'b': False, 'c': True}
    """
    best = max(promises.values(), key=mean, default=())
    behind = {name: [b - one for b, one in zip(best, own, strict=True)] for name, own in promises.items()}
    return {name: mean(by) <= least + _error(by) for name, by in behind.items()}


def _error(values: Sequence[float]) -> float:
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def chosen(plan: Plan, named: Collection[str | Strategy]) -> tuple[Plan, dict[str, str]]:
    """Leave out what would train a backbone that is not worth it; say why of each strategy left out.

    Args:
        plan: with each strategy on each backbone, and what these promise.
        named: strategies that the user named with their backbone, which stay.
    """
    fit = worth(plan.promises, plan.least)
    best = max(plan.promises, key=lambda name: mean(plan.promises[name]), default="")
    out = {
        name: f"frozen features of {best} did better on held-out rows"
        for name, one in plan.strategies.items()
        if not fit.get(one.backbone, True) and one.frozen != FROZEN and name not in named
    }
    kept = {name: one for name, one in plan.strategies.items() if name not in out}
    return replace(plan, strategies=kept, targets={name: plan.targets[name] for name in kept}), out


def facts(plan: Plan) -> list[dict[str, Any]]:
    """Say of each backbone what its frozen features scored on held-out rows, and whether it was trained."""
    fit = worth(plan.promises, plan.least)
    return [
        {"backbone": name, "held_out": mean(own), "trained": fit[name]} for name, own in plan.promises.items()
    ]
