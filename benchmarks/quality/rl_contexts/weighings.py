"""How gradients of several worlds are best weighed where one policy goes on learning in all of them.

``python weighings.py`` writes ``weighings.json`` beside this file. A policy was learned in two or three
worlds of a family; in the target it goes on, half of the steps there and half in the sources. Figures are
points of area over ``scratch``, paired by seed, as in ``run.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from run import figures

from headstart.comparison.rl import Problem
from headstart.rl import World
from headstart.strategies.rl import FURTHER, STRATEGIES, Budget, Shared

SEEDS, EPISODES = range(300, 308), 10
WAYS = ("scratch", "zero-shot", "continue", "multitask")
WEIGHED = ("pcgrad", "mgda", "cagrad", "imtl_g", "aligned")
CASES = [  # steps in the sources and in the target, the sources, the target
    ("CartPole-v1", 40_000, 10_000, [{}, {"length": 1.5}, {"force": 6}], {"length": 0.05, "force": 20}),
    ("CartPole-v1", 40_000, 10_000, [{}, {"length": 1.5}, {"force": 6}], {"force": -10}),
    ("Acrobot-v1", 50_000, 15_000, [{}, {"mass2": 1.5}], {"torque": 0.5}),
]


def main():
    torch.set_num_threads(1)
    known = STRATEGIES | FURTHER
    names = [*WAYS, *(f"multitask+{name}" for name in WEIGHED)]
    told = []
    for env, pretrain, steps, others, context in CASES:
        sources = [World(env, context=other) for other in others]
        target = World(env, context=context)
        problem = Problem(target, sources, steps=[0, steps // 4, steps], budget=Budget(pretrain, EPISODES))
        starts = Shared(SEEDS)
        problem.ahead([(known[way], {}, seed) for way in names for seed in SEEDS], starts)
        found = figures(problem, starts, names, SEEDS)
        for way, row in found["ways"].items():
            low, high = row["gain_ci95"]
            told_of = f"{row['gain']:+.1f} [{low:+.1f}, {high:+.1f}] end {row['end']:.1f}"
            print(f"{target.name} {way} {told_of}", flush=True)
        told.append(found | {"sources": [source.name for source in sources]})
        (Path(__file__).parent / "weighings.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
