"""Which source helps and which harms: the way in front, with and without each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..maths import twoway
from ..maths.twoway import Numbers
from ..strategies import Starts, Strategy, Trained, Trial
from .plan import Plan
from .tables import Trials, tables_of
from .verdicts import ENOUGH, LEVEL, gain_of, upwards


def without(
    strategy: Strategy, sources: Sequence[str], settings: Mapping[str, Any] | None = None
) -> Strategy:
    """Return a strategy that never sees some of the sources.

    Args:
        strategy: any.
        sources: their names.
        settings: the strategy's, where they were chosen already.

    Example:
        >>> from headstart.strategies import STRATEGIES
        >>> without(STRATEGIES["probe"], ["old digits"]).name
        'probe-without-old_digits'
    """
    left = "-".join(re.sub(r"[^A-Za-z0-9+\-_.@:]", "_", name) for name in sources)
    return replace(
        strategy,
        name=f"{strategy.name}-without-{left}",
        run=partial(_run, strategy, tuple(sources)),
        summary=f"{strategy.summary}; without {', '.join(sources)}",
        options=strategy.options if settings is None else (dict(settings),),
    )


def _run(strategy: Strategy, left: Sequence[str], trial: Trial) -> Trained:
    problem = trial.problem.with_rows(sources=[s for s in trial.problem.sources if s.name not in left])
    return strategy.run(replace(trial, problem=problem, starts=Starts(trial.starts.store)))


def instead(plan: Plan, trials: Trials) -> dict[str, str]:
    """Name the way to recommend in place of the one whose sources harm it, if there is one."""
    if not plan.left_out:
        return {}
    harming = {told["source"] for told in found(plan, trials) if told["verdict"] == "harms"}
    return {way: name for name, (way, left) in plan.left_out.items() if harming and set(left) == harming}


def found(plan: Plan, trials: Trials) -> list[dict[str, Any]]:
    """Say for each source what the way in front gains by it, over the same seeds and test rows.

    A source *helps* or *harms* where the whole interval is on one side of 0 and the difference is at least
    the smallest that matters; the intervals hold for all sources together.
    """
    target, amount = plan.problem.names[0], plan.amounts[-1]
    alone = {name: (way, left[0]) for name, (way, left) in plan.left_out.items() if len(left) == 1}
    tables = tables_of(plan, trials, target, amount) if alone else {}
    rows = []
    for name, (way, source) in alone.items():
        if name not in tables or way not in tables:
            continue
        told = _difference(plan, target, tables[way], tables[name], len(alone))
        rows.append({"source": source, "strategy": way, "shots": amount, "target": target} | told)
    return rows


def _difference(plan: Plan, target: str, whole: Numbers, less: Numbers, many: int) -> dict[str, Any]:
    metric, k = plan.problem.scored_by(target), min(len(whole), len(less))
    facts = {"with": float(whole[:k].mean()), "without": float(less[:k].mean())}
    if k < 2:
        return facts | {"difference": None, "difference_ci95": None, "verdict": "open"}
    both = twoway.two_way(np.stack([upwards(metric, whole[:k]), upwards(metric, less[:k])]))
    over = twoway.differences(both, [0], 1)
    half = twoway.widths(over, max(twoway.NORMAL, twoway.one_sided(LEVEL / many)))
    low, value, high = (
        gain_of(metric, float(v))
        for v in (over.estimate[0] - half[0], over.estimate[0], over.estimate[0] + half[0])
    )
    verdict = "open"
    if k >= ENOUGH and abs(value) >= plan.least:
        verdict = "helps" if low > 0 else "harms" if high < 0 else "open"
    return facts | {"difference": value, "difference_ci95": [low, high], "verdict": verdict}
