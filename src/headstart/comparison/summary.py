"""From the trials' files to ``result.json`` and ``details.json``: facts, no words."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import report
from ..atomic import write_atomic
from ..maths import interval
from ..version import __version__
from .plan import Plan
from .question import Metric
from .result import Result
from .trials import Record, read_trial

Trials = Mapping[tuple[str, int | None], Mapping[int, Record]]  # by strategy and amount, then by seed
Row = dict[str, Any]


def summarise(
    plan: Plan,
    options: Mapping[tuple[str, int | None], int],
    skipped: Mapping[str, str],
    *,
    command: str,
    elapsed: float,
    workers: int,
) -> Result:
    """Read the trials' files and write ``result.json``, ``details.json`` and ``report.html``."""
    names, base = list(plan.problem.names), plan.problem.baseline()
    found: dict[tuple[str, int | None], dict[int, Record]] = {}
    for amount in plan.amounts:
        for name in plan.strategies:
            files = {seed: plan.file("trials", (name, amount, seed)) for seed in plan.seeds}
            found[name, amount] = {s: read_trial(f, names) for s, f in files.items() if f.exists()}
    metrics = {target: plan.problem.metric(target) for target in names}
    rows = [
        _row(target, name, amount, found, base, metrics[target], plan.seeds)
        for name, amount in found
        for target in plan.targets[name]
    ]
    summary = _summary(plan, found, base, metrics) if len(names) > 1 else []
    choices = [
        _choose([r for r in rows if (r["target"], r["shots"]) == (target, amount)], base, metrics[target])
        | {"target": target, "shots": amount}
        for target in names
        for amount in plan.amounts
    ]
    failed = [t for trials in found.values() for t in trials.values() if not t["targets"]]
    data: dict[str, Any] = {
        "task": ", ".join(names),
        "metric": metrics[names[0]].name,
        "higher_is_better": metrics[names[0]].higher_is_better,
        "rows": rows,
        "recommended": _recommended(choices, summary, base),
    }
    if summary:
        data["summary"] = summary
    missing = sum(len(plan.seeds) - len(trials) for trials in found.values())
    details = _details(plan, options, skipped, found, data["recommended"]) | {
        "command": command,
        "baseline": base,
        "metrics": {t: {"name": m.name, "higher_is_better": m.higher_is_better} for t, m in metrics.items()},
        "choices": choices,
        "missing": missing,
        "budget": {"seconds": elapsed, "workers": workers, "trials": sum(map(len, found.values())),
                   "failed": [{k: t[k] for k in ("strategy", "shots", "seed", "error")} for t in failed]},
        "partial": bool(missing),
    }  # fmt: skip
    data["reasons"] = report.reasons(data, details)
    write(plan.directory, data, details)
    return Result(data, details, plan.directory)


def write(directory: Path, data: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """Write the two files of a result and its report."""
    write_atomic(directory / "result.json", json.dumps(data, indent=2))
    write_atomic(directory / "details.json", json.dumps(details))
    report.write(directory)


def _scores(trials: Mapping[int, Record], target: str) -> dict[int, Record]:
    """Keep the trials that have a score for a target, by seed."""
    facts = {seed: trial["targets"][target] for seed, trial in trials.items() if target in trial["targets"]}
    return {seed: f for seed, f in facts.items() if f["score"] is not None and math.isfinite(f["score"])}


def _row(
    target: str, name: str, amount: int | None, found: Trials, base: str, metric: Metric, seeds: Sequence[int]
) -> Row:
    good, plain = _scores(found[name, amount], target), _scores(found.get((base, amount), {}), target)
    scores = [t["score"] for t in good.values()]
    gains = [good[s]["score"] - plain[s]["score"] for s in good if s in plain] if name != base else []
    gain_ci = _interval(gains)
    return {
        "target": target,
        "strategy": name,
        "shots": amount,
        "mean": _mean(scores),
        "ci95": _within(_interval(scores), metric.bounds),
        "gain": _mean(gains),
        "gain_ci95": gain_ci,
        "harmed": gain_ci is not None and max(metric.sign * end for end in gain_ci) < 0,
        "seconds": _mean([t["seconds"] for t in good.values()]),
        "trained_parameters": next((t["trained_parameters"] for t in good.values()), None),
        "seeds": [good[s]["score"] if s in good else None for s in seeds],
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _interval(values: Sequence[float]) -> list[float] | None:
    """Give the interval of a mean; none for too few values, and two that are equal are so by chance."""
    if len(values) < 2 or (len(values) == 2 and abs(values[0] - values[1]) < 1e-9):
        return None
    ends = interval(values)
    return list(ends) if all(map(math.isfinite, ends)) else None


def _within(ends: list[float] | None, bounds: tuple[float, float]) -> list[float] | None:
    """End the interval of a share (accuracy, area under a curve) where shares end."""
    return None if ends is None else [max(bounds[0], ends[0]), min(bounds[1], ends[1])]


def _summary(plan: Plan, found: Trials, base: str, metrics: Mapping[str, Metric]) -> list[Row]:
    r"""Average the relative gains over the targets, for strategies that apply to all of them.

    .. math:: \Delta_m = \frac1K \sum_k \pm \frac{M_{m,k} - M_{b,k}}{|M_{b,k}|}

    by seed, where the baseline ``b`` learns each target alone.

    References:
        Maninis, Radosavovic & Kokkinos (CVPR 2019), equation 4, https://arxiv.org/abs/1904.08918
    """
    rows = []
    for (name, amount), trials in found.items():
        if len(plan.targets[name]) < len(metrics) or (base, amount) not in found:
            continue
        by_target = []
        for target, metric in metrics.items():
            ours, theirs = _scores(trials, target), _scores(found[base, amount], target)
            by_target.append(
                {
                    s: metric.sign * (ours[s]["score"] - theirs[s]["score"]) / abs(theirs[s]["score"])
                    for s in ours
                    if s in theirs and theirs[s]["score"]
                }
            )
        seeds = [s for s in plan.seeds if all(s in gains for gains in by_target)]
        deltas = [sum(gains[s] for gains in by_target) / len(by_target) for s in seeds]
        rows.append(
            {
                "strategy": name,
                "shots": amount,
                "delta_m": _mean(deltas),
                "delta_m_ci95": _interval(deltas) if name != base else None,
                "seeds": deltas,
            }
        )
    return rows


def _choose(rows: Sequence[Row], base: str, metric: Metric) -> dict[str, Any]:
    """Pick the largest gain among those whose whole interval is on the right side of zero.

    Returns:
        ``strategy``; the ``rule`` that chose it: ``"gains"``, ``"none gains"`` (the baseline is kept),
        ``"few seeds"`` (no interval; kept as well), ``"alone"`` (nothing to compare with), ``"no score"``;
        how many of how ``many`` are ``gaining``; which ``harmed``; and which scored ``highest``.
    """
    there = [r for r in rows if r["mean"] is not None]
    gaining = [r for r in there if r["gain_ci95"] and min(metric.sign * v for v in r["gain_ci95"]) > 0]
    facts = {
        "gaining": len(gaining),
        "many": len([r for r in there if r["strategy"] != base]),
        "harmed": [r["strategy"] for r in there if r["harmed"]],
        "highest": max(there, key=lambda r: metric.sign * r["mean"])["strategy"] if there else None,
    }
    if not there:
        return facts | {"strategy": None, "rule": "no score"}
    if gaining:
        top = max(gaining, key=lambda r: metric.sign * r["gain"])["strategy"]
        return facts | {"strategy": top, "rule": "gains"}
    if len(there) == 1 or base not in [r["strategy"] for r in there]:
        return facts | {"strategy": facts["highest"], "rule": "alone"}
    few = all(r["gain_ci95"] is None for r in there)
    return facts | {"strategy": base, "rule": "few seeds" if few else "none gains"}


def _recommended(choices: Sequence[Mapping[str, Any]], summary: Sequence[Row], base: str) -> str | None:
    """Name what to use at the largest amount that there are results for; over several targets by Delta_m."""
    if summary:
        last = [r for r in summary if r["shots"] == summary[-1]["shots"] and r["delta_m_ci95"]]
        gaining = [r for r in last if r["delta_m_ci95"][0] > 0]
        return max(gaining, key=lambda r: r["delta_m"])["strategy"] if gaining else base
    return next((c["strategy"] for c in reversed(choices) if c["strategy"]), None)


def _details(
    plan: Plan,
    options: Mapping[tuple[str, int | None], int],
    skipped: Mapping[str, str],
    found: Trials,
    recommended: str | None,
) -> dict[str, Any]:
    last, first = plan.amounts[-1], plan.seeds[0]
    facts = dict(plan.problem.facts())
    strategies = {}
    for name, s in plan.strategies.items():
        settings = {}
        for amount in plan.amounts:
            within = plan.choice(name, amount).when == "within"
            chosen = "each trial its own" if within else dict(s.options[options[name, amount]])
            settings["all" if amount is None else str(amount)] = chosen
        strategies[name] = {
            "summary": s.summary,
            "reused": s.reused,
            "frozen": s.frozen,
            "trained": "all weights" if s.frozen == "nothing" else "the rest",
            "settings": settings,
            "chosen_on": "; ".join(sorted({plan.choice(name, a).how for a in plan.amounts})),
        }

    def at_first(name: str) -> Mapping[str, Any]:
        return found[name, last].get(first, {}).get("targets", {})

    curves = {name: next((f["curves"] for f in at_first(name).values() if f.get("curves")), None)
              for name in plan.strategies}  # fmt: skip
    confusions = [
        {
            "target": t["name"],
            "strategy": recommended,
            "shots": last,
            "classes": t["classes"],
            "matrix": matrix,
        }
        for t in facts["targets"]
        if recommended and (matrix := at_first(recommended).get(t["name"], {}).get("confusion"))
    ]
    return facts | {
        "strategies": strategies,
        "skipped": dict(skipped),
        "environment": environment(),
        "seeds": list(plan.seeds),
        "curves": {n: {"shots": last, "seed": first, "losses": c} for n, c in curves.items() if c},
        "confusions": confusions,
    }


def environment() -> dict[str, str]:
    """Name the versions that a result was made with."""
    versions = {"headstart": __version__, "torch": torch.__version__, "python": platform.python_version()}
    return versions | {"platform": platform.platform()}
