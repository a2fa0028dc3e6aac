"""From the trials' files to ``result.json`` and ``details.json``: facts, no words."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import report
from ..maths import twoway
from ..records import file_hash, write_record
from ..version import __version__
from . import confirming, finalists, sources, told
from .judging import followed_at, leader, refused, relative_gains, worth
from .plan import Plan
from .question import Metric
from .result import Result
from .tables import Trials, judged_seeds, read_trials, scored
from .trials import first_seeds
from .verdicts import Followed

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
    names, found = list(plan.problem.names), read_trials(plan)
    metrics = {target: plan.problem.scored_by(target) for target in names}
    judged = {(t, a): followed_at(plan, options, found, t, a) for t in names for a in plan.amounts}
    adopted = sources.instead(plan, found).values()
    answers = [
        {"target": t, "shots": a} | _answer(plan, a, each) | _untold(plan, options, t, a, each)
        for (t, a), each in judged.items()
    ]
    rows = [
        _row(plan, target, name, amount, found, judged[target, amount])
        for name, amount in found
        if name not in plan.left_out or (amount == plan.amounts[-1] and name in adopted)
        for target in plan.targets[name]
    ]
    if plan.confirm and (told := leader(plan, options)):
        fresh, _ = confirming.due(plan, *told)
        answers[len(plan.amounts) - 1]["confirmed"] = confirming.confirmed(fresh, names[0], *told)
    summary = _summary(plan, found, judged) if len(names) > 1 else []
    failed = [t for trials in found.values() for t in trials.values() if not t["targets"]]
    by_target = {target: _last(a["strategy"] for a in answers if a["target"] == target) for target in names}
    data: dict[str, Any] = {
        "task": ", ".join(names),
        "metric": metrics[names[0]].name,
        "higher_is_better": metrics[names[0]].higher_is_better,
        "rows": rows,
        "answers": answers,
        "recommended": _over_all(summary, plan.problem.no_harm) or _last(a["strategy"] for a in answers),
    }
    if each := sources.found(plan, found):
        data["sources"] = each
    if plan.shifts:
        data["shifts"] = {target: dict(facts) for target, facts in plan.shifts.items()}
    if alarms := [*sources.alarms(plan, found), *sources.troubles(plan, found)]:
        data["alarms"] = alarms
    if summary:
        data |= {"summary": summary, "recommended_by_target": by_target}
    data |= {"least": plan.least, "draws": {"count": twoway.DRAWS, "seed": twoway.SEED}}
    missing = sum(
        len(due) - len(found[cell]) for cell, due in first_seeds(plan).items() if len(found[cell]) < len(due)
    )
    details = _details(plan, options, skipped, found, data["recommended"]) | {
        "command": command,
        "family": plan.family,
        "floor": plan.problem.floor(),
        "metrics": {t: _plain(m) for t, m in metrics.items()},
        "missing": missing,
        "importance": dict(plan.problem.importance),
        "withheld": _withheld(summary, plan.problem.no_harm),
        "budget": {"seconds": elapsed, "workers": workers, "trials": sum(map(len, found.values())),
                   "failed": [{k: t[k] for k in ("strategy", "shots", "seed", "error")} for t in failed]},
        "partial": bool(missing),
    }  # fmt: skip
    data["reasons"] = report.reasons(data, details)
    write(plan.directory, data, details)
    return Result(data, details, plan.directory)


def _plain(metric: Metric) -> dict[str, Any]:
    """Write a metric's facts as JSON, which has no infinity."""
    facts = dataclasses.asdict(metric)
    return facts | {"bounds": [b if math.isfinite(b) else None for b in metric.bounds]}


def write(directory: Path, data: Mapping[str, Any], details: dict[str, Any]) -> None:
    """Write the two files of a result, the second with the hash of the first."""
    write_record(directory / "result.json", data, indent=2)
    write_record(directory / "details.json", details | {"result": file_hash(directory / "result.json")})


def _row(
    plan: Plan, target: str, name: str, amount: int | None, found: Trials, followed: Followed | None
) -> Row:
    good = scored(found[name, amount], target)
    way = dict(followed.judged.ways.get(name, {})) if followed is not None else {}
    seeds = judged_seeds(plan, found, target, amount).get(name, [])
    measures = [facts["measures"] for facts in good.values()]
    return {
        "target": target,
        "strategy": name,
        "backbone": plan.strategies[name].backbone or None,
        "shots": amount,
        "mean": way.get("mean"),
        "ci95": way.get("ci95"),
        "gain": way.get("gain"),
        "gain_ci95": way.get("gain_ci95"),
        "gain_scratch": way.get("gain_scratch"),
        "gain_scratch_ci95": way.get("gain_scratch_ci95"),
        "verdict": way.get("verdict"),
        "harmed": way.get("verdict") == "harms",
        "may_be_best": way.get("may_be_best", False),
        "best_probability": way.get("best_probability"),
        "judged_on": len(seeds) if followed is None else followed.seeds.get(name, 0),
        "measures": {m: _mean([each[m] for each in measures]) for m in (measures[0] if measures else {})},
        "one_answer": bool(good) and all(facts.get("one_answer") for facts in good.values()),
        "seconds": _mean([t["seconds"] for t in good.values()]),
        "trained_parameters": next((t["trained_parameters"] for t in good.values()), None),
        "seeds": [
            good[s]["score"] if s in good else None for s in plan.seeds if _asked(plan, found, amount, s)
        ],
    }


def _asked(plan: Plan, found: Trials, amount: int | None, seed: int) -> bool:
    """Tell whether any way was to run at a seed: all of them, but where seeds are added as needed."""
    return not plan.looks or any(seed in found[name, amount] for name in plan.strategies)


def _mean(values: Sequence[float]) -> float | None:
    finite = [v for v in values if v is not None and math.isfinite(v)]
    return sum(finite) / len(finite) if finite else None


def _last(names: Iterable[str | None]) -> str | None:
    """Give what is recommended at the largest amount that there are results for."""
    return ([None, *filter(None, names)])[-1]


def _answer(plan: Plan, amount: int | None, followed: Followed | None) -> dict[str, Any]:
    """Say what was found at one amount: facts for the report to put in words."""
    if followed is None:
        return {"strategy": None, "outcome": "no score"}
    judged = followed.judged
    ways = judged.ways
    unsure = {name: way for name, way in ways.items() if way["verdict"] == "open" and way["gain_ci95"]}
    return {
        "strategy": judged.recommended,
        "outcome": judged.outcome,
        "baseline": judged.baseline,
        "chosen_on": judged.chosen,
        "highest": judged.highest,
        "over_highest": judged.over_highest,
        "gain": judged.gain,
        "gain_ci95": judged.gain_ci95,
        "may_be_best": [name for name, way in ways.items() if way["may_be_best"]],
        "gaining": [name for name, way in ways.items() if way["verdict"] == "gains"],
        "harmed": [name for name, way in ways.items() if way["verdict"] == "harms"],
        "worst": min((w["gain_ci95"][0] for w in unsure.values()), default=None),
        "worst_of": min(unsure, key=lambda name: unsure[name]["gain_ci95"][0], default=None),
        "seen": judged.seen,
        "needed": dict(judged.needed),
        "unless": ways[judged.recommended].get("unless"),
        "seeds": max(followed.seeds.values()),
        "test_rows": judged.rows,
        "level": followed.level,
    }  # fmt: skip


def _untold(
    plan: Plan,
    options: Mapping[tuple[str, int | None], int],
    target: str,
    amount: int | None,
    followed: Followed | None,
) -> dict[str, Any]:
    """Say how a way was chosen without a label of the target, and what that cost; nothing else."""
    values = worth(plan, options, target, amount)
    if followed is None or not values:
        return {}
    judged = followed.judged
    told = {"by": plan.choice(judged.recommended, amount).how, "worth": values, "best": judged.best,
            "cost": judged.cost, "refused": refused(plan, target)}  # fmt: skip
    return {"without_labels": told}


Found = Mapping[tuple[str, int | None], Followed | None]  # what was found, by target and amount


def _summary(plan: Plan, found: Trials, judged: Found) -> list[Row]:
    """Average the relative gains over the targets, for strategies that apply to all of them."""
    base = "scratch" if "scratch" in plan.strategies else next(iter(plan.family), "")
    rows: list[Row] = []
    ways = [n for n in plan.strategies if len(plan.targets[n]) == len(plan.problem.names)]
    for amount in plan.amounts:
        for name in ways if base in plan.strategies else []:
            gains = relative_gains(plan, found, name, base, amount)
            if gains is None:
                continue
            deltas, errors = gains
            ends = None
            if len(deltas) > 1 and name != base:
                over = twoway.differences(errors, [0], None)
                half = twoway.widths(over, limit=twoway.one_sided(0.025 / max(1, len(ways) - 1)))[0]
                ends = [float(over.estimate[0] - half), float(over.estimate[0] + half)]
            rows.append(
                {
                    "strategy": name,
                    "shots": amount,
                    "delta_m": _mean(deltas),
                    "delta_m_ci95": ends,
                    "harmed": _harmed(judged, name, amount),
                    "seeds": deltas,
                }
            )
    return rows


def _harmed(judged: Found, name: str, amount: int | None) -> list[str]:
    """List the targets that a way harms."""
    there = {target: each for (target, at), each in judged.items() if at == amount and each is not None}
    return [t for t, each in there.items() if each.judged.ways.get(name, {}).get("verdict") == "harms"]


def _withheld(summary: Sequence[Row], no_harm: Sequence[str]) -> dict[str, Any] | None:
    """Say what would be used over all targets, if it did not harm one that is not to be harmed."""
    name = _over_all(summary, ())
    if name == _over_all(summary, no_harm):
        return None
    row = next(r for r in reversed(summary) if r["strategy"] == name)
    return {"strategy": name, "harms": [t for t in row["harmed"] if t in no_harm]}


def _over_all(summary: Sequence[Row], no_harm: Sequence[str]) -> str | None:
    """Name what to use over several targets: the highest whose whole interval is above 0, or of all."""
    last = [r for r in summary if r["shots"] == summary[-1]["shots"] and r["delta_m"] is not None]
    last = [r for r in last if not set(r["harmed"]) & set(no_harm)]
    gaining = [r for r in last if r["delta_m_ci95"] and r["delta_m_ci95"][0] > 0]
    return max(gaining or last, key=lambda r: r["delta_m"], default={"strategy": None})["strategy"]


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
            **({"unlike": True} if s.unlike else {}),
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
        "layers": told.layers(found),
        "pulls": told.pulls(found),
        "shares": told.shares(found),
        "dropped": told.dropped(found),
        "promises": finalists.facts(plan),
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
