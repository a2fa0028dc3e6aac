"""The cells of a comparison: a setting tried, or a trial scored, each with a small file of its own.

A cell that has its file is never run again, so a comparison that was killed goes on with the cells
that are missing. Cells of one seed share their pretrained nets and run in one process, each on as many
threads, so results do not depend on the number of processes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..atomic import write_atomic
from ..strategies import Starts
from . import choice, outputs
from .plan import Cell, Plan

FEATURES = "features"  # folder of what frozen backbones said
Job = tuple[int, list[Cell]]  # a repeat or a seed, and its cells
Record = dict[str, Any]


def tries(plan: Plan) -> list[Job]:
    """List the settings to try, by repeat."""
    cells = [
        (name, amount, option)
        for amount in plan.amounts
        for name in plan.strategies
        if plan.choice(name, amount).when == "before"
        for option in range(plan.options(name, amount))
    ]
    return [(repeat, cells) for repeat in range(plan.problem.budget.repeats)]


def run_tries(plan: Plan, job: Job) -> Iterator[None]:
    """Score options on whatever stands in for the target's test rows."""
    repeat, cells = job
    shared: dict[str, Starts] = {}  # pseudo-targets of all amounts share their pretrained nets
    for name, amount, option in cells:
        file = plan.file("settings", (name, amount, option), repeat)
        if not file.exists() and not plan.late():
            strategy, how = plan.strategies[name], plan.choice(name, amount).how
            starts = shared.setdefault(how, plan.problem.starts(plan.directory / FEATURES))
            try:
                score = plan.problem.judge(strategy, option, amount, repeat, starts)
            except FloatingPointError:  # diverged: the worst there is
                score = (-math.inf, 0.0)
            write_atomic(file, json.dumps({"settings": dict(strategy.options[option]), "score": score}))
        yield


def chosen(plan: Plan) -> dict[tuple[str, int | None], int]:
    """Choose an option for each strategy and amount, from the files of the tries; else the default."""
    repeats, found = range(plan.problem.budget.repeats), {}
    for amount in plan.amounts:
        for name in plan.strategies:
            files = [
                [plan.file("settings", (name, amount, option), repeat) for repeat in repeats]
                for option in range(plan.options(name, amount))
            ]
            tried = plan.choice(name, amount).when == "before" and all(
                f.exists() for row in files for f in row
            )
            found[name, amount] = choice.best([[_pair(f) for f in row] for row in files]) if tried else 0
    return found


def _pair(file: Path) -> tuple[float, float]:
    value, guard = json.loads(file.read_text())["score"]
    return value, guard


Seeds = Mapping[tuple[str, int | None], Sequence[int]]  # which are due, by strategy and amount


def first_seeds(plan: Plan) -> Seeds:
    """Give every strategy all seeds, or those of the first look."""
    count = min(plan.looks) if plan.looks else len(plan.seeds)
    return {(name, amount): plan.seeds[:count] for amount in plan.amounts for name in plan.strategies}


def trials(plan: Plan, options: Mapping[tuple[str, int | None], int], seeds: Seeds) -> list[Job]:
    """List the trials that are due, by seed, each with the option that was chosen."""
    return [
        (seed, [(*cell, options[cell]) for cell, due in seeds.items() if seed in due]) for seed in plan.seeds
    ]


def run_trials(plan: Plan, job: Job) -> Iterator[None]:
    """Train and score, touching the test rows once per trial."""
    seed, cells = job
    starts = plan.problem.starts(plan.directory / FEATURES)
    for cell in cells:
        name, amount, _ = cell
        file = plan.file("trials", (name, amount, seed))
        if not file.exists() and not plan.late():
            write_atomic(file, json.dumps(_trial(plan, cell, seed, starts)))
        yield


def _trial(plan: Plan, cell: Cell, seed: int, starts: Starts) -> Record:
    name, amount, option = cell
    strategy, problem = plan.strategies[name], plan.problem.cut(amount, seed)
    record: Record = {"strategy": name, "shots": amount, "seed": seed}
    try:
        if plan.choice(name, amount).when == "within":
            option, record["held_out"] = problem.choose(strategy, plan.options(name, amount), seed, starts)
        record["settings"] = dict(strategy.options[option])
        found = problem.train(strategy, plan.targets[name], record["settings"], seed, starts)
    except FloatingPointError as error:
        settings = record.get("settings", dict(strategy.options[option]))
        return record | {"settings": settings, "error": str(error), "targets": {}}
    record["targets"] = {}
    outputs.write(plan, (name, amount, seed), found)
    for target, outcome in found.items():
        facts = dict(outcome.record)
        if seed == plan.seeds[0]:  # amounts rise, so the model with the most labels is what stays
            outcome.save(model(plan, name, target), {k: record[k] for k in NOTES})
        else:
            facts = {key: facts[key] for key in KEPT if key in facts}
        record["targets"][target] = facts
    return record


KEPT = ("score", "measures", "seconds", "trained_parameters", "one_answer", "told", "unlabelled")
NOTES = ("strategy", "shots", "seed", "settings")


def model(plan: Plan, name: str, target: str) -> Path:
    """Name the directory of a strategy's model for a target; of several targets each has a folder."""
    return of_target(plan.directory / "models" / name, target, plan.problem.names)


def of_target(place: Path, target: str, names: Sequence[str]) -> Path:
    """Name a target's part of a directory: all of it where there is one target."""
    return place if len(names) == 1 else place / target
