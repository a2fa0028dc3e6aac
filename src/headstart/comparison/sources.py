"""Which source helps and which harms: the ways in front, with and without each of them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..maths import twoway
from ..maths.twoway import Numbers
from ..strategies import Strategy
from .alarms import contradiction
from .plan import Plan
from .tables import Trials, scored, tables_of
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


def _run(strategy: Strategy, left: Sequence[str], trial: Any) -> Any:
    return strategy.run(replace(trial, problem=trial.problem.without(left), starts=trial.starts.anew()))


def instead(plan: Plan, trials: Trials) -> dict[str, str]:
    """Name the ways to recommend in place of those that their sources harm, if there are any."""
    if not plan.left_out:
        return {}
    harming: dict[str, set[str]] = {}
    for told in found(plan, trials):
        if told["verdict"] == "harms":
            harming.setdefault(told["strategy"], set()).add(told["source"])
    return {way: name for name, (way, left) in plan.left_out.items() if set(left) == harming.get(way)}


def found(plan: Plan, trials: Trials) -> list[dict[str, Any]]:
    """Say for each source what a way gains by it, over the same seeds and test rows.

    A source *helps* or *harms* where the whole interval is on one side of 0 and the difference is at least
    the smallest that matters; the intervals hold for all sources together. Harm to a way is not said of a
    source that helps another which is higher with it than this one is without it. Where a way ran on one
    source alone, the row of that source has its score and what it gains over all sources together.
    """
    if not plan.left_out:
        return []
    target, amount, names = plan.problem.names[0], plan.amounts[-1], plan.problem.sources_of()
    runs = {(way, frozenset(left)): name for name, (way, left) in plan.left_out.items()}
    ways = list(dict.fromkeys(way for way, _ in plan.left_out.values()))
    tables, many = tables_of(plan, trials, target, amount), len(names) * len(ways)
    rows = []
    for way in ways:
        for source in names:
            less = tables.get(runs.get((way, frozenset([source])), ""))
            alone = tables.get(runs.get((way, frozenset(names) - {source}), ""))
            if way not in tables or less is None:
                continue
            row = {"source": source, "strategy": way, "shots": amount, "target": target}
            row |= _difference(plan, target, tables[way], less, many)
            if alone is not None:
                told = _difference(plan, target, alone, tables[way], many)
                row |= {
                    "alone": told["with"],
                    "alone_gain": told["difference"],
                    "alone_gain_ci95": told["difference_ci95"],
                }
            rows.append(row)
    return _said(rows, plan.problem.scored_by(target).sign)


def _said(rows: Sequence[Mapping[str, Any]], sign: int) -> list[dict[str, Any]]:
    """Leave harm open that nobody would suffer, because the source helps a way that is higher even so."""
    helped: dict[str, float] = {}
    for row in rows:
        if row["verdict"] == "helps":
            helped[row["source"]] = max(helped.get(row["source"], -math.inf), sign * row["with"])
    return [
        dict(row, verdict="open")
        if row["verdict"] == "harms" and helped.get(row["source"], -math.inf) >= sign * row["without"]
        else dict(row)
        for row in rows
    ]


def alarms(plan: Plan, trials: Trials) -> list[dict[str, Any]]:
    """List what looks wrong by no label of the target: of each way, and of one that ran on a source alone."""
    names, amount, rows = plan.problem.sources_of(), plan.amounts[-1], []
    for target in plan.problem.names:
        alone: dict[str, dict[str, list[Any]]] = {}
        for name in (n for n in plan.strategies if target in plan.targets[n]):
            way, left = plan.left_out.get(name, (name, ()))
            kept = [source for source in names if source not in left]
            if left and len(kept) > 1:
                continue
            facts = scored(trials[name, amount], target).values()
            told = [each["unlabelled"] for each in facts if each.get("unlabelled")]
            if not told:
                continue
            place = {"target": target, "strategy": way, "source": kept[0] if left else None}
            rows += [place | each for each in plan.problem.alarms(target, told, kept)]
            if left:
                alone.setdefault(way, {})[kept[0]] = told
        for way, by_source in alone.items():
            for one, other in itertools.combinations(by_source, 2):
                place = {"target": target, "strategy": way, "source": one, "other": other}
                rows += [place | each for each in contradiction(by_source[one], by_source[other])]
    return rows


def troubles(plan: Plan, trials: Trials) -> list[dict[str, Any]]:
    """List what looks wrong in the losses of a way at most of its seeds, with the step at the middle one."""
    rows, amount = [], plan.amounts[-1]
    for target in plan.problem.names:
        for name in (n for n in plan.strategies if target in plan.targets[n] and n not in plan.left_out):
            facts = scored(trials[name, amount], target).values()
            told = [each for fact in facts for each in (fact.get("told") or {}).get("troubles", [])]
            for kind in sorted({each["alarm"] for each in told}):
                steps = sorted(each["step"] for each in told if each["alarm"] == kind)
                if 2 * len(steps) > len(facts):
                    step = steps[len(steps) // 2]
                    rows.append({"target": target, "strategy": name, "alarm": kind, "value": step})
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
