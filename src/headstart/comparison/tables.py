"""From the trials' files to one table per way: what each test row counts at each seed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..maths import twoway
from ..maths.twoway import Numbers
from . import cells, outputs
from .plan import Plan

Trials = Mapping[tuple[str, int | None], Mapping[int, cells.Record]]  # by strategy and amount, then by seed


def read_trials(plan: Plan) -> dict[tuple[str, int | None], dict[int, cells.Record]]:
    """Read the files of all trials that ran."""
    found: dict[tuple[str, int | None], dict[int, cells.Record]] = {}
    for amount in plan.amounts:
        for name in plan.strategies:
            files = {seed: plan.file("trials", (name, amount, seed)) for seed in plan.seeds}
            found[name, amount] = {s: cells.read(f) for s, f in files.items() if f.exists()}
    return found


def scored(trials: Mapping[int, cells.Record], target: str) -> dict[int, cells.Record]:
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
