"""The model that is handed over: the recommended way, trained on all labelled rows there are."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..maths import twoway, wilson
from ..progress import Bar
from ..records import hashes, read_record, write_record
from ..strategies import Strategy
from .judging import Options
from .plan import Plan
from .trials import FEATURES, of_target
from .verdicts import score_ends, upwards

QUARTERS = 4
MARK = "handed-over.json"  # of which way the model is, so that it is not trained again


def hand_over(plan: Plan, options: Options, name: str, bar: Bar) -> dict[str, dict[str, Any]]:
    """Train the way of that name on all labelled rows, once, and write its model for each target.

    Settings that each trial chose on a quarter of its own rows are chosen on all four quarters, since one
    model alone is kept. Where there are the rows for it, its probabilities are made to fit rows that a first
    training did not see, by one temperature, and then it is trained on all. The bar counts these trainings.

    Returns:
        by target ``strategy``, ``rows``, ``score`` with its interval over the test rows, all ``measures``,
        ``temperature`` and ``ece``: how far probabilities are from what comes true, before and after; and
        ``picture`` of what can be drawn, and ``plane``, features of both sides of a shift.
    """
    mark, place = plan.directory / MARK, plan.directory / "model"
    strategy, amount, seed = plan.strategies[name], plan.amounts[-1], plan.seeds[0]
    mine = {"of": plan.fingerprint, "strategy": name, "shots": amount, "seed": seed}
    if (there := _there(mark, place, mine)) is not None:
        return there
    problem, starts = plan.problem.cut(None, seed), plan.problem.starts(plan.directory / FEATURES)
    option, within = options.get((name, amount), 0), plan.choice(name, amount).when == "within"
    bar.steps = QUARTERS * plan.options(name, amount) * within + 2
    strategy = _counted(strategy, plan.problem.names[0], bar)
    if within:
        option, _ = problem.choose(strategy, plan.options(name, amount), seed, starts, quarters=QUARTERS)
    settings = dict(strategy.options[option])
    told = {}
    targets = list(plan.problem.names)
    for target, outcome in problem.final(strategy, plan.targets[name], settings, seed, starts).items():
        facts = dict(outcome.record)
        notes = {"strategy": name, "shots": None, "seed": seed, "settings": settings}
        outcome.save(of_target(place, target, targets), notes)
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
        told[target] |= {key: drawn for key in ("picture", "plane") if (drawn := getattr(outcome, key))}
    write_record(mark, mine | {"told": told, "model": hashes(place)})
    return told


def _counted(strategy: Strategy, target: str, bar: Bar) -> Strategy:
    """Return the same strategy, whose trainings for a target are steps of a bar."""

    def run(trial: Any) -> Any:
        trained = strategy.run(trial)
        if trial.target.name == target:
            bar.show(min(bar.step + 1, bar.steps))
        return trained

    return replace(strategy, run=run)


def _there(mark: Path, place: Path, mine: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """Read what was told of the model that is there; ``None`` where it is another, or not as it was."""
    if not mark.exists():
        return None
    try:
        there = read_record(mark, hint="it is trained anew")
    except ValueError as error:
        warnings.warn(str(error), UserWarning, stacklevel=4)
        return None
    if any(there.get(key) != value for key, value in mine.items()):
        return None
    then, now = there["model"], hashes(place)
    if changed := [name for name in then | now if then.get(name) != now.get(name)]:
        told = f"`{place / changed[0]}` is missing or altered; the model is trained anew"
        warnings.warn(told, UserWarning, stacklevel=4)
        shutil.rmtree(place, ignore_errors=True)
        return None
    return there["told"]


def _over_rows(plan: Plan, target: str, answers: Any, truth: Mapping[str, Any]) -> list[float] | None:
    """Give the interval of one net's score over test rows of the kind."""
    counted, metric = plan.problem.counted(target, answers, truth), plan.problem.scored_by(target)
    if len(counted) < 2 or not np.isfinite(counted).all():
        return None
    right = counted.round()
    if metric.name == "accuracy" and np.isin(right, (0, 1)).all() and np.allclose(counted, right, atol=1e-6):
        return list(wilson(int(right.sum()), len(right)))  # as `headstart evaluate` tells it
    up = upwards(metric, counted[None])
    spread = max(up.std(ddof=1) / len(counted) ** 0.5, 1 / len(counted))
    ends = [float(up.mean()) + sign * twoway.NORMAL * float(spread) for sign in (-1, 1)]
    return score_ends(metric, ends)
