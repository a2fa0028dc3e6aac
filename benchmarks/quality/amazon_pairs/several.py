"""Four Amazon products, each a target without labels beside the other three as sources.

Needs ``HEADSTART_DATA`` with the Amazon reviews: 2000 labelled rows of each source, 2000 bare rows of the
target, whose test file only reports. Every way has its first setting, learning takes 150 steps of 64 rows of
a side, and what has a seed is run by three. Says beside it which shares of the sources the target is most
like. Some five minutes of one core. ::

    python benchmarks/quality/amazon_pairs/several.py
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import torch

import headstart as hs
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts
from headstart.tasks import Inputs, Task

HERE = Path(__file__).parent
NAMES = ("books", "dvd", "electronics", "kitchen")
FIXED = ("source+logreg", "iw+logreg", "mixture+logreg", "coral+logreg")
SEEDED = {"dann": 3, "multi-dann": 3}


def posed(name):
    (target,) = hs.datasets.read(f"amazon_reviews:{name}")
    others = {one: hs.datasets.read(f"amazon_reviews:{one}")[0] for one in NAMES if one != name}
    sources = [Task(one, source.kind, source.train) for one, source in others.items()]
    none = target.train.take(torch.arange(0))
    asked = Task("target", target.kind, none, unlabelled=Inputs(target.train.x), test=target.test)
    return hs.Problem(asked, sources, budget=Budget(pretrain=150, options=1, repeats=1))


def main():
    found = {}
    for name in NAMES:
        problem, row = posed(name), {}
        for way in (*FIXED, *SEEDED):
            strategy, scored = (STRATEGIES | FURTHER)[way], []
            for seed in range(SEEDED.get(way, 1)):
                learned = problem.train(strategy, ["target"], strategy.options[0], seed, Starts())
                record = learned["target"].record
                scored.append(100 * record["score"])
                if shares := record["told"].get("shares"):
                    row["shares"] = {source: round(share, 2) for source, share in shares.items()}
            row[way] = round(mean(scored), 2)
        found[name] = row
        print(name, row, flush=True)
    found["mean"] = {way: round(mean(found[name][way] for name in NAMES), 2) for way in (*FIXED, *SEEDED)}
    (HERE / "several.json").write_text(json.dumps(found, indent=1) + "\n")
    print(found["mean"])


if __name__ == "__main__":
    main()
