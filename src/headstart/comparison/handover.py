"""The model that is handed over: the recommended way, trained on all labelled rows there are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..atomic import write_atomic
from ..maths import twoway
from .judging import Options
from .plan import Plan
from .trials import FEATURES, of_target
from .verdicts import score_ends, upwards

MARK = "handed-over.json"  # of which way the model is, so that it is not trained again


def hand_over(plan: Plan, options: Options, name: str) -> dict[str, dict[str, Any]]:
    """Train the way of that name on all labelled rows, once, and write its model for each target.

    Settings that each trial chose on a quarter of its own rows are chosen on all four quarters, since one
    model alone is kept. Where there are the rows for it, its probabilities are made to fit rows that a first
    training did not see, by one temperature, and then it is trained on all.

    Returns:
        by target ``strategy``, ``rows``, ``score`` with its interval over the test rows, all ``measures``,
        ``temperature`` and ``ece``: how far probabilities are from what comes true, before and after.
    """
    mark = plan.directory / MARK
    if mark.exists() and (there := json.loads(mark.read_text()))["strategy"] == name:
        return there["told"]
    strategy, amount, seed = plan.strategies[name], plan.amounts[-1], plan.seeds[0]
    problem, starts = plan.problem.cut(None, seed), plan.problem.starts(plan.directory / FEATURES)
    option = options.get((name, amount), 0)
    if plan.choice(name, amount).when == "within":
        option, _ = problem.choose(strategy, plan.options(name, amount), seed, starts, quarters=4)
    settings = dict(strategy.options[option])
    told = {}
    targets = list(plan.problem.names)
    for target, outcome in problem.final(strategy, plan.targets[name], settings, seed, starts).items():
        facts = dict(outcome.record)
        notes = {"strategy": name, "shots": None, "seed": seed, "settings": settings}
        outcome.save(of_target(plan.directory / "model", target, targets), notes)
        told[target] = {
            "strategy": name,
            "settings": settings,
            "rows": facts["rows"],
            "score": facts["score"],
            "ci95": _over_rows(plan, target, outcome.answers, outcome.truth),
            "measures": facts["measures"],
            "temperature": facts.get("temperature"),
            "ece": facts.get("ece"),
        }
    write_atomic(mark, json.dumps({"strategy": name, "told": told}))
    return told


def _over_rows(plan: Plan, target: str, answers: Any, truth: Mapping[str, Any]) -> list[float] | None:
    """Give the interval of one net's score over test rows of the kind."""
    counted, metric = plan.problem.counted(target, answers, truth), plan.problem.scored_by(target)
    if len(counted) < 2 or not np.isfinite(counted).all():
        return None
    up = upwards(metric, counted[None])
    spread = max(up.std(ddof=1) / len(counted) ** 0.5, 1 / len(counted))
    ends = [float(up.mean()) + sign * twoway.NORMAL * float(spread) for sign in (-1, 1)]
    return score_ends(metric, ends)
