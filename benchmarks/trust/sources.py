"""How often the one of two sources that does harm is named, and what is then recommended.

    python benchmarks/trust/sources.py [--runs 20] [--out benchmarks/trust/sources.json]

Each run draws a world of four classes in ten columns. The good source follows the target's rule, a little
turned. The bad one has its class names permuted in every second run, and follows a rule of its own in the
others. With labels the target has five rows per class, and the sources serve as pretraining or in a pool;
without, they are used as they are. The same run with the good source alone says what was to be had.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import headstart as hs
from headstart import report
from headstart.datasets import unlabel
from headstart.strategies import Budget
from headstart.tasks import Labelled, Multiclass, Task

FILE = Path(__file__).with_suffix(".json")
COLUMNS, CLASSES = 10, 4
BUDGET = Budget(steps=40, pretrain=60, options=1, repeats=1)
WAYS = {
    "5 per class": (["pooled+logreg", "features+logreg"], "raw+logreg"),
    "none": (["source+logreg", "source+svm"], "source+logreg"),
}
BAD = ("permuted classes", "a rule of its own")


def rows(count: int, rule: Tensor, g: torch.Generator, order: Tensor | None = None) -> Labelled:
    """Draw rows whose class is the highest of four scores, each with noise."""
    x = torch.randn(count, COLUMNS, generator=g)
    y = (x @ rule + 0.7 * torch.randn(count, CLASSES, generator=g)).argmax(1)
    return Labelled(x, y if order is None else order[y])


def world(run: int, bad: str) -> tuple[Task, Task, Task]:
    """Draw a target, its good source and its bad one."""
    g, kind = torch.Generator().manual_seed(run), Multiclass(CLASSES)
    rule, other, turn = (torch.randn(COLUMNS, CLASSES, generator=g) for _ in range(3))
    target = Task("new", kind, rows(300, rule, g), test=rows(400, rule, g))
    good = Task("good", kind, rows(400, rule + 0.3 * turn, g))
    if bad == "permuted classes":
        return target, good, Task("bad", kind, rows(400, rule + 0.3 * turn, g, torch.tensor([1, 2, 3, 0])))
    return target, good, Task("bad", kind, rows(400, other, g))


def compared(target: Task, sources: list[Task], labels: str, seeds: int) -> hs.comparison.Result:
    """Compare the ways of a sort on a target."""
    posed = unlabel(target) if labels == "none" else target
    shots = None if labels == "none" else [5]
    problem = hs.Problem(posed, sources, shots=shots, settings={"hidden": [16]}, budget=BUDGET)
    ways, baseline = WAYS[labels]
    return hs.compare(problem, ways, seeds, baseline=baseline, progress=False)


def score(result: hs.comparison.Result) -> float:
    """Give the mean score of what is recommended."""
    return next(row["mean"] for row in result.rows if row["strategy"] == result.recommended)


def line(run: int, labels: str, seeds: int) -> dict[str, Any]:
    """Compare with both sources, and with the good one alone."""
    bad = BAD[run % 2]
    target, good, worse = world(run, bad)
    both, alone = (compared(target, some, labels, seeds) for some in ([good, worse], [good]))
    told = both.data["sources"]
    return {
        "run": run,
        "labels": labels,
        "bad": bad,
        "harms": sorted({each["source"] for each in told if each["verdict"] == "harms"}),
        "by source": [{k: each[k] for k in ("source", "strategy", "with", "without")} for each in told],
        "recommended": both.recommended,
        "score": score(both),
        "alone": score(alone),
        "alarms": sorted({(a["alarm"], a["source"] or "both") for a in both.data.get("alarms", ())}),
    }


def cell(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Count over runs."""
    apart = torch.tensor([each["score"] - each["alone"] for each in lines], dtype=torch.float64)
    spoiled = torch.tensor(
        [max(s["with"] for s in each["by source"]) - each["alone"] for each in lines], dtype=torch.float64
    )
    contradicted = [any(name == "contradiction" for name, _ in each["alarms"]) for each in lines]
    return {
        "labels": lines[0]["labels"],
        "bad": lines[0]["bad"],
        "runs": len(lines),
        "bad named": sum("bad" in each["harms"] for each in lines),
        "good named": sum("good" in each["harms"] for each in lines),
        "learned without it": sum("without-bad" in each["recommended"] for each in lines),
        "with both": round(float(spoiled.mean()), 4),
        "apart": round(float(apart.mean()), 4),
        "worst": round(float(apart.min()), 4),
        "contradiction": sum(contradicted) if lines[0]["labels"] == "none" else None,
    }


def main() -> None:
    """Run all and write them, after each run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=FILE)
    given = parser.parse_args()
    report.write = lambda directory: Path(directory)  # nobody reads these pages, and drawing them takes long
    begun, lines = time.time(), list[dict[str, Any]]()
    for run in range(given.runs):
        for labels in WAYS:
            lines.append(line(run, labels, given.seeds))
            print(json.dumps(lines[-1]), flush=True)
        sorts = [
            [each for each in lines if (each["labels"], each["bad"]) == sort] for sort in product(WAYS, BAD)
        ]
        told = {"minutes": round((time.time() - begun) / 60, 1), "seeds": given.seeds}
        told |= {"cells": [cell(some) for some in sorts if some], "lines": lines}
        given.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
