"""What reuse is worth in four families of worlds: twelve contexts, then six that no choice was made by.

A fifth family, ``Meadow``, differs in its rewards alone. ``python run.py [FAMILY ...]`` writes
``figures.json`` beside this file, a family at a time; other families stay there as they are.
Policies are learned in the usual context of a family, anew for every seed, and reused in others. Figures
are points: 0 is a fixed low return, 100 the mean end of the best way in that context. Gains are paired by
seed over ``scratch``; the area is the mean of the learning curve. Steps spent to choose are charged.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from headstart.comparison import verdicts
from headstart.comparison.question import Metric
from headstart.comparison.rl import Problem
from headstart.maths.statistics import interquartile_mean, paired_interval, stratified
from headstart.rl import PHYSICS, World
from headstart.strategies.rl import STRATEGIES, Budget, Shared

HERE = Path(__file__).parent
SEEDS = range(300, 310)  # others than those that ways were chosen by
EPISODES = 10
WAYS = ("scratch", "zero-shot", "continue", "gate")
FURTHER = {"rewards": ("successor",)}  # ways that only some contexts are for
FAMILIES = {  # steps in the source, and in the target
    "CartPole-v1": (40_000, 10_000),
    "MountainCar-v0": (60_000, 40_000),
    "Acrobot-v1": (50_000, 15_000),
    "Pendulum-v1": (100_000, 20_000),
    "Meadow": (20_000, 8_000),
}
CONTEXTS = {
    "contexts": {
        "CartPole-v1": [
            {"length": 3, "force": 5},
            {"length": 0.05, "force": 20},
            {"length": 2, "gravity": 30},
            {"force": -10},
        ],
        "Acrobot-v1": [{"mass2": 2}, {"torque": 0.3}, {"torque": -1}],
        "MountainCar-v0": [{"force": 0.0006}, {"gravity": 0.0035}, {"force": -0.001}],
        "Pendulum-v1": [{"gravity": 7}, {"length": 1.5}],
    },
    "unseen": {
        "CartPole-v1": [{"length": 2.5, "gravity": 20}, {"force": -15, "length": 1}],
        "Acrobot-v1": [{"mass1": 1.5, "torque": 0.5}, {"torque": -0.8, "mass2": 1.2}],
        "MountainCar-v0": [{"force": 0.0008}],
        "Pendulum-v1": [{"length": 1.3}],
    },
    "rewards": {"Meadow": [{"red": -1, "blue": 1}, {"red": 1, "blue": 1}, {"red": 0.2, "blue": 1}]},
}


def figures(problem, starts, names, seeds=SEEDS):
    """Say of each way what it gained in one context."""
    name = problem.target.name
    told = {way: np.stack([starts.done[way, seed][0].returns for seed in seeds]) for way in names}
    low, steps = PHYSICS[problem.target.env].low, np.array(problem.looks(), float)
    best = max(curve[:, -1].mean() for curve in told.values())
    points = {way: 100 * (curve - low) / (best - low) for way, curve in told.items()}
    areas = {way: np.trapezoid(p, steps, axis=1) / steps[-1] for way, p in points.items()}
    judged = {
        at: verdicts.judge(verdicts.Field(Metric("points"), tables, ["scratch"], ["scratch"], None, 1.0))
        for at, tables in {"area": areas, "end": {w: p[:, -1] for w, p in points.items()}}.items()
    }
    rows = {}
    still = points["zero-shot"][:, 0].mean(1)
    for way in names:
        p, area = points[way], areas[way].mean(1)
        over = area - areas["scratch"].mean(1)
        curve = p.mean((0, 2))
        reached = np.flatnonzero(curve >= 80)
        rows[way] = {
            "jump": float((p[:, 0] - points["scratch"][:, 0]).mean()),
            "area": float(area.mean()),
            "gain": float(over.mean()),
            "gain_ci95": [float(end) for end in paired_interval(area, areas["scratch"].mean(1))],
            "gains_by_seed": [float(v) for v in over],
            "verdict": judged["area"].ways[way]["verdict"],
            "end": float(p[:, -1].mean()),
            "end_verdict": judged["end"].ways[way]["verdict"],
            "end_over_zero_shot_ci95": [float(e) for e in paired_interval(p[:, -1].mean(1), still)],
            "time_to_80": int(steps[reached[0]]) if len(reached) else None,
            "return_at_0": float(told[way][:, 0].mean()),
            "return_at_end": float(told[way][:, -1].mean()),
            "curve": [round(float(v), 1) for v in curve],
        }
    return {"context": name, "best_end": float(best), "steps": steps.tolist(), "ways": rows}


def family(env, contexts, starts, names=WAYS):
    """Run contexts of a family; its source is learned once."""
    pretrain, steps = FAMILIES[env]
    actions = 5 if env == "Pendulum-v1" else None
    source, found = World(env, actions=actions), []
    for context in contexts:
        begun = time.process_time()
        target = World(env, context=context, actions=actions)
        problem = Problem(target, [source], steps=[0, steps // 4, steps], budget=Budget(pretrain, EPISODES))
        starts.done.clear()
        ways = [(STRATEGIES[way], {}, seed) for way in names for seed in SEEDS]
        problem.ahead(ways, starts)
        told = figures(problem, starts, names) | {"cpu_seconds": time.process_time() - begun}
        found.append(told)
        for way, row in told["ways"].items():
            low, high = row["gain_ci95"]
            ends = row["end_over_zero_shot_ci95"]
            print(
                f"{told['context']:<34}{way:<10} jump {row['jump']:+6.1f} area {row['area']:6.1f} gain "
                f"{row['gain']:+6.1f} [{low:+.1f}, {high:+.1f}] {row['verdict']} end {row['end']:.1f} "
                f"over zero-shot [{ends[0]:+.1f}, {ends[1]:+.1f}]",
                flush=True,
            )
        print(f"{told['cpu_seconds']:.0f} s", flush=True)
    return found


def overall(found):
    """Give the interquartile mean gain over all contexts of each way, with its interval."""
    rows = {}
    for way in list(found[0]["ways"])[1:]:
        gains = [one["ways"][way]["gains_by_seed"] for one in found]
        rows[way] = {
            "gain": interquartile_mean(np.concatenate(gains)),
            "gain_ci95": list(stratified(gains, interquartile_mean)),
            "gains": sum(one["ways"][way]["gain_ci95"][0] > 0 for one in found),
            "harmed": sum(one["ways"][way]["verdict"] == "harms" for one in found),
        }
        print(way, rows[way], flush=True)
    return rows


def main(*envs):
    torch.set_num_threads(1)
    file = HERE / "figures.json"
    told = {"seeds": list(SEEDS), "families": FAMILIES}
    if envs and file.exists():
        told = json.loads(file.read_text()) | told
    for env in envs or FAMILIES:
        starts = Shared(SEEDS)
        for which, contexts in CONTEXTS.items():
            if env not in contexts:
                continue
            part = told.setdefault(which, {"families": {}})
            part["families"][env] = family(env, contexts[env], starts, WAYS + FURTHER.get(which, ()))
            part["overall"] = overall([one for each in part["families"].values() for one in each])
            file.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
