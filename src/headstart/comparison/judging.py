"""From the trials' files to what is judged: one table per way, and the baseline that held-out rows chose."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..maths import twoway
from ..maths.twoway import Numbers, TwoWay
from . import outputs, verdicts
from .plan import Plan
from .trials import Record, Seeds
from .verdicts import LEVEL, Field, Followed

Trials = Mapping[tuple[str, int | None], Mapping[int, Record]]  # by strategy and amount, then by seed
Options = Mapping[tuple[str, int | None], int]


def read_trials(plan: Plan) -> dict[tuple[str, int | None], dict[int, Record]]:
    """Read the files of all trials that ran."""
    found: dict[tuple[str, int | None], dict[int, Record]] = {}
    for amount in plan.amounts:
        for name in plan.strategies:
            files = {seed: plan.file("trials", (name, amount, seed)) for seed in plan.seeds}
            found[name, amount] = {s: json.loads(f.read_text()) for s, f in files.items() if f.exists()}
    return found


def more_seeds(plan: Plan, options: Options) -> Seeds:
    """Say which strategies need more seeds, by amount; none where all is decided."""
    if not plan.looks:
        return {}
    found = read_trials(plan)
    due: dict[tuple[str, int | None], Sequence[int]] = {}
    for amount in plan.amounts:
        for target in plan.problem.names:
            followed = followed_at(plan, options, found, target, amount)
            for name in followed.next if followed is not None else ():
                seeds = [s for s in plan.seeds[: followed.upto] if s not in found[name, amount]]  # type: ignore[union-attr]
                due[name, amount] = sorted({*due.get((name, amount), ()), *seeds}, key=plan.seeds.index)
    return {cell: seeds for cell, seeds in due.items() if seeds}


def followed_at(
    plan: Plan, options: Options, found: Trials, target: str, amount: int | None
) -> Followed | None:
    """Judge one target at one amount; None where no trial has a score."""
    tables = tables_of(plan, found, target, amount)
    if not tables:
        return None
    family, floor = plan.family, plan.problem.floor()
    costs = {}
    for name in tables:
        facts = list(scored(found[name, amount], target).values())
        seconds = sum(f["seconds"] for f in facts) / len(facts)
        costs[name] = seconds, float(facts[0]["trained_parameters"] or 0)
    asked = Field(
        plan.problem.scored_by(target),
        tables,
        [name for name in family if name in tables],
        chosen(plan, options, found, amount, [n for n in family if n in tables]),
        floor if floor in tables else None,
        plan.least,
        costs,
    )
    if plan.looks:
        return verdicts.follow(asked, plan.looks)
    judged = verdicts.judge(asked, LEVEL)
    count = len(next(iter(tables.values())))
    return Followed(judged, dict.fromkeys(tables, count), LEVEL, (), count)


def leader(plan: Plan, options: Options) -> tuple[str, str] | None:
    """Name what is recommended at the largest amount and its baseline; None where they are the same."""
    followed = followed_at(plan, options, read_trials(plan), plan.problem.names[0], plan.amounts[-1])
    if followed is None or followed.judged.recommended == followed.judged.baseline:
        return None
    return followed.judged.recommended, followed.judged.baseline


def scored(trials: Mapping[int, Record], target: str) -> dict[int, Record]:
    """Keep the trials that have a score for a target, by seed."""
    facts = {seed: trial["targets"][target] for seed, trial in trials.items() if target in trial["targets"]}
    return {seed: f for seed, f in facts.items() if f["score"] is not None and math.isfinite(f["score"])}


def judged_seeds(plan: Plan, found: Trials, target: str, amount: int | None) -> dict[str, list[int]]:
    """List the seeds of each way that are judged: those that all have, or the first that each has."""
    there: dict[str, list[int]] = {}
    for name in plan.strategies:
        if target in plan.targets[name] and scored(found[name, amount], target):
            ran = found[name, amount]
            whole = [seed in ran for seed in plan.seeds]
            count = whole.index(False) if False in whole else len(whole)
            there[name] = plan.seeds[:count] if plan.looks else [s for s in plan.seeds if s in ran]  # type: ignore[assignment]
    there = {name: seeds for name, seeds in there.items() if seeds}
    if plan.looks or not there:
        return there
    shared = [s for s in plan.seeds if all(s in seeds for seeds in there.values())]
    if not shared:  # the time ended before any seed was through: what ran most
        most = max(map(len, there.values()))
        there = {name: seeds for name, seeds in there.items() if len(seeds) == most}
        shared = next(iter(there.values()))
        there = {name: seeds for name, seeds in there.items() if seeds == shared}
    return dict.fromkeys(there, shared)


def tables_of(plan: Plan, found: Trials, target: str, amount: int | None) -> dict[str, Numbers]:
    """Give each way its table ``(seeds, rows)``; a trial that failed counts as the floor did at its seed."""
    metric = plan.problem.scored_by(target)
    ran = judged_seeds(plan, found, target, amount)
    good = {name: scored(found[name, amount], target) for name in ran}
    read: dict[str, dict[int, Numbers]] = {}
    for name, seeds in ran.items():
        there = [s for s in seeds if s in good[name]]
        if there:
            rows = outputs.table(plan, target, [(name, amount, s) for s in there])
            read[name] = dict(zip(there, rows, strict=True))
    floor = read.get(plan.problem.floor(), {})
    tables = {}
    for name, mine in read.items():
        whole = []
        for seed in ran[name]:
            others = [r[seed] for r in read.values() if seed in r]
            if seed in mine:
                whole.append(mine[seed])
            elif seed in floor or others:
                whole.append(floor.get(seed, min(others, key=lambda r: metric.sign * r.mean())))
        tables[name] = np.stack(whole)
    if plan.confirm:
        return {name: table[:, halves(table.shape[1])[0]] for name, table in tables.items()}
    return tables


def halves(rows: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Divide test rows at random in those that choose and those that confirm, the same every time."""
    first = np.zeros(rows, bool)
    first[np.random.default_rng(twoway.SEED).permutation(rows)[: (rows + 1) // 2]] = True
    return first, ~first


def chosen(
    plan: Plan, options: Options, found: Trials, amount: int | None, family: Sequence[str]
) -> str | None:
    """Choose the baseline among the ways without reuse as settings are chosen; None where nothing can."""
    if plan.baseline:
        return plan.baseline if plan.baseline in family else None
    held = {}
    for name in family:
        if (score := _held_out(plan, options, found, name, amount)) is not None:
            held[name] = score
    return max(held, key=lambda name: held[name]) if len(held) > 1 or held.keys() == set(family) else None


def _held_out(plan: Plan, options: Options, found: Trials, name: str, amount: int | None) -> float | None:
    """Give a way's mean score on held-out rows, or whatever stands in for them."""
    how = plan.choice(name, amount)
    if how.when == "within":
        values = [t["held_out"] for t in found[name, amount].values() if "held_out" in t]
    elif how.when == "before":
        cell = (name, amount, options[name, amount])
        files = [plan.file("settings", cell, repeat) for repeat in range(plan.problem.budget.repeats)]
        pairs = [json.loads(f.read_text())["score"] for f in files if f.exists()]
        values = [value for value, _ in pairs]
    else:
        return None
    values = [v for v in values if math.isfinite(v)]
    return sum(values) / len(values) if values else None


def relative_gains(
    plan: Plan, found: Trials, name: str, base: str, amount: int | None
) -> tuple[list[float], TwoWay] | None:
    r"""Average the relative gains of a way over all targets, by seed and with their errors.

    .. math:: \Delta_m = \frac1K \sum_k \pm \frac{M_{m,k} - M_{b,k}}{|M_{b,k}|}

    where the baseline ``b`` learns each target alone. The errors by row are of each target's own rows.

    References:
        Maninis, Radosavovic & Kokkinos (CVPR 2019), equation 4, https://arxiv.org/abs/1904.08918
    """
    targets, parts = list(plan.problem.names), []
    for target in targets:
        tables = tables_of(plan, found, target, amount)
        if name not in tables or base not in tables:
            return None
        k = min(len(tables[name]), len(tables[base]))
        ours, theirs = tables[name][:k], tables[base][:k]
        each = np.abs(theirs.mean(1, keepdims=True))
        if not each.all():
            return None
        parts.append(plan.problem.scored_by(target).sign * (ours - theirs) / each)
    k = min(map(len, parts))
    by_seed = np.mean([part[:k].mean(1) for part in parts], 0)
    if k < 2 or any(part.shape[1] < 2 for part in parts):
        nothing = np.zeros((1, 1))
        return by_seed.tolist(), TwoWay(by_seed[:1], nothing, nothing, nothing, 1, 1)
    each = [twoway.two_way(part[:k][None]) for part in parts]
    own = np.atleast_2d(np.var(by_seed, ddof=1) / k)
    by_row = np.sum([one.by_row for one in each], 0) / len(each) ** 2
    rest = np.sum([one.rest for one in each], 0) / len(each) ** 2
    rows = min(one.rows for one in each)
    return by_seed.tolist(), TwoWay(np.atleast_1d(by_seed.mean()), own, by_row, rest, k, rows)
