"""How often the verdicts are wrong, and how often they find what is there, where the truth is known.

    python benchmarks/trust/rates.py [--runs 100] [--out benchmarks/trust/rates.json]

Twelve ways are held against five learners without reuse, of which held-out rows choose some. Numbers are
shares of runs, or of 1 where they are accuracies.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path

import numpy as np
from lab import HELD, World, held_out, truth

from headstart.comparison.question import Metric
from headstart.comparison.verdicts import SPENT, Field, follow, judge

METRIC = Metric("accuracy", bounds=(0.0, 1.0))
BASES = {"equal": [0.5] * 5, "unequal": [0.5, 0.48, 0.46, 0.44, 0.42]}
WORLDS = {
    "null": [0.5] * 12,
    "one +6": [0.56] + [0.5] * 11,
    "one -15": [0.35] + [0.5] * 11,
    "ladder": [0.5 + 0.06 * i / 11 for i in range(12)],
}


def run(world: str, bases: str, kind: str, rows: int, seeds: int | str, g: np.random.Generator) -> dict:
    """Draw one comparison, judge it and hold what it says against the truth."""
    accuracies = BASES[bases] + WORLDS[world]
    names = [f"base{i}" for i in range(5)] + [f"way{i}" for i in range(12)]
    true = dict(zip(names, truth(accuracies), strict=True))
    most = max(SPENT) if seeds == "auto" else int(seeds)
    outcomes = World(accuracies, rows, kind, g).seeds(most)
    held = held_out(accuracies[:5], kind, min(most, 5), g)
    count = HELD[kind] * (min(most, 5) if kind == "few" else 1)
    near = held >= held.max() - np.sqrt(held.max() * (1 - held.max()) / count)  # within a standard error
    chosen = [name for name, told in zip(names, near, strict=False) if told]
    asked = Field(METRIC, dict(zip(names, outcomes, strict=True)), names[:5], chosen)
    if seeds == "auto":
        followed = follow(asked)
        judged, used = followed.judged, float(np.mean([followed.seeds[n] for n in names[5:]]))
    else:
        judged, used = judge(asked), float(most)
    best = max(true.values())
    over = {n: true[n] - true[judged.baseline] for n in names[5:]}
    inside = [judged.ways[n]["gain_ci95"][0] <= over[n] <= judged.ways[n]["gain_ci95"][1] for n in names[5:]]
    said = {v: [n for n in names[5:] if judged.ways[n]["verdict"] == v] for v in ("gains", "harms")}
    top = judged.recommended
    gain = judged.gain if judged.gain is not None else 0.0
    probability = max(w["best_probability"] for w in judged.ways.values())
    likeliest = max(judged.ways, key=lambda n: judged.ways[n]["best_probability"])
    ties = [n for n in names if true[n] >= best - 1e-9]
    return {
        "gains": bool(said["gains"]),
        "harms": bool(said["harms"]),
        "false gains": any(true[n] <= max(BASES[bases]) + 1e-9 for n in said["gains"]),
        "false harms": any(over[n] >= -1e-9 for n in said["harms"]),
        "covered": float(np.mean(inside)),
        "width": float(np.mean([np.ptp(judged.ways[n]["gain_ci95"]) for n in names[5:]])),
        "holds best": judged.ways[ties[-1]]["may_be_best"],
        "set": sum(w["may_be_best"] for w in judged.ways.values()) / len(names),
        "recommended is best": top in ties,
        "found": "way0" in said["gains"] and top == "way0" if world == "one +6" else "way0" in said["harms"],
        "raw minus true": float(
            judged.ways[top]["gain"] - over[top]
            if top in over and judged.ways[top]["gain"] is not None
            else 0
        ),
        "shrunken minus true": float(gain - over[top]) if top in over else 0.0,
        "lost": float(best - true[top]),
        "probability": float(probability),
        "likeliest is best": likeliest in ties,
        "seeds": used,
    }


def cell(world: str, bases: str, kind: str, rows: int, seeds: int | str, runs: int) -> dict:
    """Average over runs, each with a seed of its own."""
    key = [
        list(WORLDS).index(world),
        list(BASES).index(bases),
        kind == "few",
        rows,
        0 if seeds == "auto" else seeds,
    ]
    found = [run(world, bases, kind, rows, seeds, np.random.default_rng([int(k) for k in key] + [i]))
             for i in range(runs)]  # fmt: skip
    means = {k: round(float(np.mean([f[k] for f in found])), 4) for k in found[0]}
    about = {
        "world": world,
        "baselines": bases,
        "labels": kind,
        "test rows": rows,
        "seeds given": seeds,
        "runs": runs,
    }
    return about | means


def main() -> None:
    """Run all cells and write them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS))
    parser.add_argument("--bases", nargs="*", default=list(BASES))
    parser.add_argument("--kinds", nargs="*", default=["few", "all"])
    parser.add_argument("--rows", nargs="*", type=int, default=[40, 100, 400])
    parser.add_argument("--seeds", nargs="*", default=["3", "5", "10", "auto"])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    begun, cells = time.time(), []
    for world, bases, kind, rows, seeds in product(
        given.worlds, given.bases, given.kinds, given.rows, given.seeds
    ):
        found = cell(world, bases, kind, rows, seeds if seeds == "auto" else int(seeds), given.runs)
        cells.append(found)
        print(json.dumps(found), flush=True)
    if given.out:
        given.out.write_text(
            json.dumps({"minutes": round((time.time() - begun) / 60, 1), "cells": cells}, indent=1)
        )


if __name__ == "__main__":
    main()
