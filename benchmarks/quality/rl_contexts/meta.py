"""Policies from twenty steps of a teacher: a start that was meta-learned over worlds, against others.

``python meta.py`` writes ``meta.json`` beside this file. Teachers are policies learned in the usual CartPole;
where pushes are reversed, the same behind a mirror. Four worlds (forces of 6, 14, -6 and -14) are there to
learn a start; in two others (10 and -10) each takes the same five gradient steps on twenty of a teacher's.
``episodic`` is first-order MAML by ``Episodic``; ``pooled`` learns the steps of all four worlds as one task;
``new`` has new weights. Mean returns of 20 episodes, of 500 at most, over five seeds.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from headstart.engine import fit
from headstart.meta import MAML, Episodic
from headstart.rl import World, fitted, returns
from headstart.rl.bridge import watch
from headstart.strategies.rl import Arena, Budget, Shared, Trial
from headstart.strategies.rl.trial import HEAD
from headstart.tasks import Episodes, Labelled, Multiclass, Task, batches
from headstart.transfer import Supervised

SEEDS, FORCES, ASKED, FEW, STEPS = range(5), (6.0, 14.0, -6.0, -14.0), (10.0, -10.0), 20, 300
MIRROR = -np.eye(4), np.zeros(4)
USUAL = World("CartPole-v1")


def episodes(shown, g):
    while True:
        at = [torch.randperm(len(shown[force][1]), generator=g)[: 4 * FEW] for force in FORCES]
        x, y = (
            torch.stack([shown[force][part][rows] for force, rows in zip(FORCES, at, strict=True)])
            for part in (1, 2)
        )
        yield Episodes(Labelled(x[:, :FEW], y[:, :FEW]), Labelled(x[:, FEW:], y[:, FEW:]), ways=2)


def starts(trial, shown, maml):
    """Learn the starts."""
    g = torch.Generator().manual_seed(trial.seed)
    episodic, pooled, new = (trial.fresh()[0] for _ in range(3))
    rows = (torch.cat([shown[force][part] for force in FORCES]) for part in (1, 2))
    task = Task(HEAD, Multiclass(2), Labelled(*rows))
    for net, stream, objective in (
        (episodic, episodes(shown, g), Episodic(maml)),
        (pooled, batches([task], 4 * 4 * FEW, generator=g), Supervised(task)),
    ):
        adam = torch.optim.Adam(net.parameters(), lr=1e-2)
        fit(net, stream, objective, steps=STEPS, optimizer=adam, progress=False)
    return {"episodic": episodic, "pooled": pooled, "new": new}


def main():
    torch.set_num_threads(1)
    learned, maml = Shared(SEEDS), MAML(HEAD, lr=1.0, steps=5, first_order=True)
    arena = Arena(USUAL.at({"force": -10.0}), [USUAL], budget=Budget(pretrain=20_000))
    told = {}
    for seed in SEEDS:
        old = learned.learned_in([USUAL], arena, seed).policies[-1]
        shown = {}
        for force in (*FORCES, *ASKED):
            world, teacher = USUAL.at({"force": force}), old if force > 0 else fitted(old, MIRROR)
            shown[force] = world, *watch(teacher, world, 1000, seed)
        g = torch.Generator().manual_seed(seed + 100)
        at = torch.randperm(1000, generator=g)[:FEW]
        for name, net in starts(Trial(arena, {}, seed, learned), shown, maml).items():
            for force in ASKED:
                world, x, y = shown[force]
                tuned = maml(net, Labelled(x[at], y[at])).export()
                for when, one in (("before", net), ("after", tuned)):
                    key = f"{name}, force {force:g}, {when}"
                    told.setdefault(key, []).append(float(returns([one], [world], 20, 7).mean()))
        print(seed, {key: round(values[-1]) for key, values in told.items()}, flush=True)
    summary = {key: {"mean": float(np.mean(values)), "seeds": values} for key, values in told.items()}
    (Path(__file__).parent / "meta.json").write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
