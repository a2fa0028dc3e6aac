"""How often the verdicts are wrong, and how often they find what is there, where the truth is known.

    python benchmarks/trust/rates.py [--runs 100] [--workers 2] [--only null ladder] [--out FILE]

Twelve ways are held against five learners without reuse, of which held-out rows choose some. Numbers are
shares of runs, or of 1 where they are accuracies. Limits are taken from a quarter of the product's normal
draws, which moves them by some hundredths. It takes about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from lab import World, held_out, truth

from headstart.comparison.confirming import FRESH
from headstart.comparison.judging import in_front
from headstart.comparison.question import Metric
from headstart.comparison.tables import halves
from headstart.comparison.verdicts import SPENT, Field, follow, gain_of, judge
from headstart.maths import twoway

twoway.DRAWS = 2500
METRIC = Metric("accuracy", bounds=(0.0, 1.0))
BASES = {
    "equal": [0.5] * 5,
    "unequal": [0.5, 0.48, 0.46, 0.44, 0.42],
    "one ahead": [0.5, 0.46, 0.46, 0.46, 0.46],  # where a false gain is likeliest
}
WAYS = 12
WORLDS: dict[str, Callable[[np.random.Generator], list[float]]] = {
    "null": lambda g: [0.5] * WAYS,
    "one +6": lambda g: [0.56] + [0.5] * (WAYS - 1),
    "one -15": lambda g: [0.35] + [0.5] * (WAYS - 1),
    "ladder": lambda g: [0.5 + 0.06 * i / (WAYS - 1) for i in range(WAYS)],
    "mixed": lambda g: g.normal(0.5, 0.03, WAYS).tolist(),
}
BINS = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
NAMES = [f"base{i}" for i in range(5)] + [f"way{i}" for i in range(WAYS)]
Cell = tuple[str, str, str, int, int | str]  # world, baselines, labels, test rows, seeds


def grid() -> Iterator[Cell]:
    """List what is run: nulls everywhere, the rest where the number of seeds and rows says something."""
    few_all, rows = ("few", "all"), (40, 100, 400)
    yield from product(["null"], ["equal"], few_all, rows, (3, 5, 10, "auto"))
    yield from product(["null"], ["unequal"], few_all, rows, (5, "auto"))
    yield from product(["null"], ["one ahead"], few_all, [400], (5, "auto"))
    yield from product(["one +6"], ["equal", "unequal"], few_all, (100, 400), (12, "auto"))
    yield from product(["one -15"], ["equal"], few_all, (100, 400), (5, "auto"))
    yield from product(["ladder", "mixed"], ["equal"], few_all, rows, (5, "auto"))


def run(cell: Cell, number: int) -> dict:
    """Draw one comparison, judge it and hold what it says against the truth."""
    world, bases, kind, rows, seeds = cell
    key = [list(WORLDS).index(world), list(BASES).index(bases), kind == "few", rows]
    g = np.random.default_rng([int(k) for k in [*key, 0 if seeds == "auto" else seeds, number]])
    accuracies = BASES[bases] + WORLDS[world](g)
    true = dict(zip(NAMES, truth(accuracies), strict=True))
    most = max(SPENT) if seeds == "auto" else int(seeds)
    drawn = World(accuracies, rows, kind, g)
    outcomes = drawn.seeds(most)
    held = held_out(accuracies[:5], kind, most, g)
    near = in_front(dict(zip(NAMES[:5], held.tolist(), strict=True)))
    asked = partial(Field, METRIC, family=NAMES[:5], chosen=near)
    tables = dict(zip(NAMES, outcomes, strict=True))
    if seeds == "auto":
        followed = follow(asked(tables))
        judged, used = followed.judged, float(np.mean([followed.seeds[n] for n in NAMES[5:]]))
    else:
        judged, used = judge(asked(tables)), float(most)
    best = max(true.values())
    over = {n: true[n] - true[judged.baseline] for n in NAMES[5:]}
    inside = [judged.ways[n]["gain_ci95"][0] <= over[n] <= judged.ways[n]["gain_ci95"][1] for n in NAMES[5:]]
    said = {v: [n for n in NAMES[5:] if judged.ways[n]["verdict"] == v] for v in ("gains", "harms")}
    top = judged.recommended
    gain = judged.gain if judged.gain is not None else 0.0
    ties = [n for n in NAMES if true[n] >= best - 1e-9]
    first, rest = halves(rows)
    half = {name: table[:, first] for name, table in tables.items()}
    chose = follow(asked(half)).judged if seeds == "auto" else judge(asked(half))
    return {
        "gains": bool(said["gains"]),
        "harms": bool(said["harms"]),
        "false gains": any(true[n] <= max(BASES[bases]) + 1e-9 for n in said["gains"]),
        "false harms": any(over[n] >= -1e-9 for n in said["harms"]),
        "covered": float(np.mean(inside)),
        "width": float(np.mean([np.ptp(judged.ways[n]["gain_ci95"]) for n in NAMES[5:]])),
        "holds best": judged.ways[ties[-1]]["may_be_best"],
        "set": sum(w["may_be_best"] for w in judged.ways.values()) / len(NAMES),
        "found": "way0" in said["gains"] and top == "way0" if world == "one +6" else "way0" in said["harms"],
        "raw minus true": float(judged.ways[top]["gain"] - over[top]) if top in over else 0.0,
        "shrunken minus true": float(gain - over[top]) if top in over else 0.0,
        "confirmed minus true": confirmed(drawn.seeds(FRESH)[:, :, rest], chose, true),
        "lost": float(best - true[top]),
        "seeds": used,
        "chances": [[w["best_probability"], n in ties] for n, w in judged.ways.items()],
    }


def confirmed(fresh: np.ndarray, chose, true: dict[str, float]) -> float | None:
    """Measure what half of the rows chose, on the other half and fresh seeds; None for a baseline."""
    top, base = chose.recommended, chose.baseline
    if top == base:
        return None
    both = twoway.two_way(fresh[[NAMES.index(top), NAMES.index(base)]])
    gain = gain_of(METRIC, float(twoway.differences(both, [0], 1).estimate[0]))
    return float(gain - (true[top] - true[base]))


def averaged(cell: Cell, found: list[dict]) -> dict:
    """Average a cell's runs."""
    about = dict(zip(("world", "baselines", "labels", "test rows", "seeds given"), cell, strict=True))
    about |= {"runs": len(found)}
    for key in found[0]:
        values = [f[key] for f in found if key != "chances" and f[key] is not None]
        if values:
            about[key] = round(float(np.mean(values)), 4)
        if key == "confirmed minus true" and len(values) > 1:
            about["its error"] = round(float(np.std(values, ddof=1) / len(values) ** 0.5), 4)
    return about


def calibration(found: list[dict]) -> list[dict]:
    """Hold the chances of being the best against how often that is so, in five bins."""
    chance, true = np.array([pair for f in found for pair in f["chances"]], float).T
    at = np.clip(np.digitize(chance, BINS[1:-1]), 0, len(BINS) - 2)
    return [
        {
            "from": BINS[i],
            "to": BINS[i + 1],
            "ways": int((at == i).sum()),
            "said": round(float(chance[at == i].mean()), 3),
            "true": round(float(true[at == i].mean()), 3),
        }
        for i in range(len(BINS) - 1)
        if (at == i).any()
    ]


def main() -> None:
    """Run all cells and write them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list(WORLDS))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    begun, cells, chances = time.time(), [], []
    with ProcessPoolExecutor(given.workers) as pool:
        for cell in (one for one in grid() if one[0] in given.only):
            runs = given.runs * (
                4 if cell[0] == "one +6" and cell[3:] == (400, "auto") else 1
            )  # a goal's cells
            found = list(pool.map(partial(run, cell), range(runs), chunksize=5))
            cells.append(averaged(cell, found))
            chances += found if cell[0] == "mixed" else []
            print(json.dumps(cells[-1]), flush=True)
    if given.out:
        told = {"minutes": round((time.time() - begun) / 60, 1), "cells": cells}
        told |= {"best_probability": calibration(chances)} if chances else {}
        given.out.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
