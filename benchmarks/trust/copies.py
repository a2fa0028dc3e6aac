"""How often twelve copies of one learner are told apart, though nothing but their weights differs.

    python benchmarks/trust/copies.py [--runs 100] [--out benchmarks/trust/copies.json]

The copies train in one comparison, ``baseline`` names one of them, and each trial's answers are kept. Then
comparisons are replayed: some of the seeds, some of the test rows and the order of the copies, drawn anew.
It takes about ten minutes on two cores, most of it to train.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch

import headstart as hs
from headstart.comparison import Problem, compare
from headstart.comparison.question import Metric
from headstart.comparison.verdicts import SPENT, Field, follow, judge
from headstart.strategies import STRATEGIES, Budget, Strategy, Trained, Trial
from headstart.tasks import Labelled, Multiclass, Task

COPIES, SEEDS, TEST = 12, 36, 2000
SHOTS = {"drawn anew by each seed": [5], "the same for all seeds": None}
CELLS = list(product((3, 5, 10, "auto"), (40, 100, 400)))
METRIC = Metric("accuracy", bounds=(0.0, 1.0))


def copy(number: int) -> Strategy:
    """Return ``scratch`` with weights of its own."""
    return replace(STRATEGIES["scratch"], name=f"copy{number}", run=partial(_run, number))


def _run(number: int, trial: Trial) -> Trained:
    return STRATEGIES["scratch"].run(replace(trial, seed=trial.seed + 1000 * (number + 1)))


def problem(shots: list[int] | None) -> Problem:
    """Pose three classes of which half of the rows can be told, five of each class or 30 in all labelled."""
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 8, generator=g)

    def rows(count: int) -> Labelled:
        x = torch.randn(count, 8, generator=g)
        return Labelled(x, (x @ centres.T + 3 * torch.randn(count, 3, generator=g)).argmax(1))

    train = rows(300) if shots else rows(30)
    target = Task("copies", Multiclass(3), train, test=rows(TEST))
    return Problem(target, shots=shots, settings={"hidden": [8]}, budget=Budget(steps=60, options=1))


def trained(shots: list[int] | None, directory: Path, workers: int) -> np.ndarray:
    """Train the copies; give ``(copies, seeds, rows)`` of 0 and 1."""
    asked = problem(shots)
    ways = [copy(i) for i in range(COPIES)]
    compare(asked, ways, SEEDS, baseline="copy0", out=directory, workers=workers)
    word = shots[0] if shots else "all"
    truth = dict(np.load(directory / "outputs" / "truth-copies.npz"))

    def counted(way: Strategy, seed: int) -> np.ndarray:
        answers = np.load(directory / "outputs" / f"{way.name}-{word}-{seed}.npz")["copies"]
        return asked.counted("copies", answers, truth)

    return np.array([[counted(way, seed) for seed in range(SEEDS)] for way in ways])


def replay(table: np.ndarray, seeds: int | str, rows: int, number: int) -> dict[str, bool]:
    """Judge one comparison of some of the seeds and rows."""
    g = np.random.default_rng([number, rows, 0 if seeds == "auto" else int(seeds)])
    most = max(SPENT) if seeds == "auto" else int(seeds)
    order, at = g.permutation(COPIES), g.permutation(TEST)[:rows]
    some = table[order][:, g.permutation(SEEDS)[:most]][:, :, at]
    asked = Field(METRIC, {f"copy{i}": some[i] for i in range(COPIES)}, ["copy0"], ["copy0"])
    ways = (follow(asked).judged if seeds == "auto" else judge(asked)).ways.values()
    said = {verdict: any(way["verdict"] == verdict for way in ways) for verdict in ("gains", "harms")}
    inside = [w["gain_ci95"][0] <= 0 <= w["gain_ci95"][1] for w in ways if w["gain_ci95"]]
    return said | {"covered": float(np.mean(inside))}


def main() -> None:
    """Train, replay and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    begun, cells = time.time(), []
    for kind, shots in SHOTS.items():
        with tempfile.TemporaryDirectory() as place:
            table = trained(shots, Path(place) / "out", given.workers)
        spread = table.mean((1, 2))
        print(f"labelled rows {kind}: accuracies {spread.min():.3f} to {spread.max():.3f}")
        table -= spread[:, None, None] - spread.mean()  # what is left of luck is in no copy's truth
        for seeds, rows in CELLS:
            found = [replay(table, seeds, rows, i) for i in range(given.runs)]
            cells.append(
                {"labelled rows": kind, "seeds given": seeds, "test rows": rows, "runs": given.runs}
                | {key: round(float(np.mean([f[key] for f in found])), 4) for key in found[0]}
            )
            print(json.dumps(cells[-1]), flush=True)
    if given.out:
        told = {"headstart": hs.__version__, "minutes": round((time.time() - begun) / 60, 1), "cells": cells}
        given.out.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
