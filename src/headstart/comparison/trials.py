"""The cells of a comparison: a setting tried, or a trial scored, each with a small file of its own.

A cell that has its file is never run again, so a comparison that was killed goes on with the cells
that are missing. Cells of one seed share their pretrained nets and run in one process, each on as many
threads, so results do not depend on the number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import failure
from ..strategies import Starts, Strategy
from . import cells as kept
from . import choice, outputs
from .plan import Cell, Plan

FEATURES = "features"  # folder of what frozen backbones said
Options = dict[tuple[str, int | None], int]  # the option of each strategy and amount
Job = list[tuple[int, list[Cell]]]  # repeats or seeds, each with its cells


def tries(plan: Plan) -> list[Job]:
    """List the settings to try, by repeat."""
    cells = [
        (name, amount, option)
        for amount in plan.amounts
        for name in plan.strategies
        if plan.choice(name, amount).when == "before"
        for option in range(plan.options(name, amount))
    ]
    return [[(repeat, cells)] for repeat in range(plan.problem.repeats)]


def tries_without(plan: Plan, ways: Iterable[str]) -> list[Job]:
    """List the tries that tell how far to trust ways without some sources, where no label may."""
    amount = plan.amounts[-1]
    cells = [(name, amount, 0) for name in ways if plan.choice(name, amount).across]
    return [[(repeat, cells)] for repeat in range(plan.problem.repeats if cells else 0)]


def size(work: Sequence[Job]) -> int:
    """Count the cells of some jobs."""
    return sum(len(cells) for job in work for _, cells in job)


def run_tries(plan: Plan, job: Job) -> Iterator[None]:
    """Score options on whatever stands in for the target's test rows."""
    shared: dict[str, Starts] = {}  # pseudo-targets of all amounts share their pretrained nets
    for repeat, (name, amount, option) in _cells(job):
        file = plan.file("settings", (name, amount, option), repeat)
        if not file.exists() and not plan.late():
            strategy, how = plan.strategies[name], plan.choice(name, amount).how
            way, left = plan.left_out.get(name, (name, ()))
            problem = plan.problem.without(left) if left else plan.problem
            judged = replace(plan.strategies[way], options=strategy.options)
            starts = shared.setdefault(how, plan.problem.starts(plan.directory / FEATURES))
            try:
                shifts = {} if left else plan.shifts  # what was diagnosed is of all sources
                score = problem.judge(judged, option, amount, repeat, starts, shifts)
            except Exception:  # diverged, or what its trials will tell: the worst there is
                score = (-math.inf, 0.0)
            facts = {"strategy": name, "settings": dict(strategy.options[option]), "score": score}
            kept.write(plan, file, facts)
        yield


def chosen(plan: Plan) -> Options:
    """Choose an option for each strategy and amount, from the files of the tries; else the default."""
    repeats, found = range(plan.problem.repeats), {}
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
    value, guard = kept.read(file)["score"]
    return value, guard


def _cells(job: Job) -> Iterator[tuple[int, Cell]]:
    return ((number, cell) for number, cells in job for cell in cells)


Seeds = Mapping[tuple[str, int | None], Sequence[int]]  # which are due, by strategy and amount


def first_seeds(plan: Plan) -> Seeds:
    """Give every strategy all seeds, or those of the first look."""
    count = min(plan.looks) if plan.looks else len(plan.seeds)
    return {(name, amount): plan.seeds[:count] for amount in plan.amounts for name in plan.strategies}


def trials(
    plan: Plan, options: Mapping[tuple[str, int | None], int], seeds: Seeds, workers: int = 1
) -> list[Job]:
    """List the trials that are due, by seed, each with the option that was chosen."""
    by_seed = {
        seed: [(*cell, options[cell]) for cell, due in seeds.items() if seed in due] for seed in plan.seeds
    }
    groups = plan.problem.grouped([seed for seed, cells in by_seed.items() if cells], workers)
    return [[(seed, by_seed[seed]) for seed in group] for group in groups]


def run_trials(plan: Plan, job: Job) -> Iterator[None]:
    """Train and score, touching the test rows once per trial."""
    starts, begun = plan.problem.starts(plan.directory / FEATURES), False
    for seed, cell in _cells(job):
        name, amount, _ = cell
        file = plan.file("trials", (name, amount, seed))
        if not file.exists() and not plan.late():
            if not begun:
                plan.problem.ahead(_due(plan, job), starts)
                begun = True
            kept.write(plan, file, _trial(plan, cell, seed, starts))
        yield


def _due(plan: Plan, job: Job) -> list[tuple[Strategy, Mapping[str, Any], int]]:
    """List the ways that a job has trials of to run, each once for all amounts."""
    due = {
        (name, option, seed)
        for seed, (name, amount, option) in _cells(job)
        if not plan.file("trials", (name, amount, seed)).exists()
    }
    named = [(plan.strategies[name], option, seed) for name, option, seed in sorted(due)]
    return [(one, one.options[option], seed) for one, option, seed in named]


def _trial(plan: Plan, cell: Cell, seed: int, starts: Starts) -> kept.Record:
    name, amount, option = cell
    strategy, problem = plan.strategies[name], plan.problem.cut(amount, seed)
    record: kept.Record = {"strategy": name, "shots": amount, "seed": seed}
    try:
        if plan.choice(name, amount).when == "within":
            option, record["held_out"] = problem.choose(strategy, plan.options(name, amount), seed, starts)
        record["settings"] = dict(strategy.options[option])
        found = problem.train(strategy, plan.targets[name], record["settings"], seed, starts)
        scored = {target: dict(outcome.record) for target, outcome in found.items()}
    except Exception as error:  # one failure is one failure: the others go on
        settings = record.get("settings", dict(strategy.options[option]))
        return record | {"settings": settings, "error": failure(error), "targets": {}}
    record["targets"] = {}
    outputs.write(plan, (name, amount, seed), found)
    for target, outcome in found.items():
        if kept.owns_model(plan, amount, seed):
            place = of_target(kept.model(plan, name), target, plan.problem.names)
            outcome.save(place, {k: record[k] for k in NOTES})
        record["targets"][target] = scored[target]
    return record | {"written": kept.written(plan, (name, amount, seed), found)}


NOTES = ("strategy", "shots", "seed", "settings")


def of_target(place: Path, target: str, names: Sequence[str]) -> Path:
    """Name a target's part of a directory: all of it where there is one target."""
    return place if len(names) == 1 else place / target
