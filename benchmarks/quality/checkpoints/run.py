"""Is the most sound of several snapshots of a net better than its last one? On two pairs of Amazon products.

Needs ``HEADSTART_DATA`` with the Amazon reviews. Nets are trained for 300 steps of 64 rows of a side on four
fifths of the source's labels, with two seeds; at a quarter, a half, three quarters and the end they answer
the target's bare rows and the source's other fifth (``sound``), and the target's test file, which chooses
nothing. ``mmd`` at weight 1 is among them because it collapses on the way. ::

    python benchmarks/quality/checkpoints/run.py

It goes on where it was ended: remove ``figures.json`` to begin anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev

import torch

import headstart as hs
from headstart.comparison import choice
from headstart.domains import CMD, DANN, MMD
from headstart.engine import predict, seeded
from headstart.strategies import Budget, Starts, Trial
from headstart.strategies.reading import beyond_of
from headstart.strategies.recipes.align import begun
from headstart.strategies.situation import width_of
from headstart.tasks import Inputs, Task, shifted

HERE = Path(__file__).parent
PAIRS = (("books", "kitchen"), ("kitchen", "dvd"))
STEPS, LOOKS, SEEDS = 300, 4, 2
WAYS = {
    "mmd 0.3": lambda task, net: MMD(task, weight=0.3),
    "mmd 1": lambda task, net: MMD(task, weight=1.0),
    "cmd 0.3": lambda task, net: CMD(task, weight=0.3),
    "dann 0.3": lambda task, net: DANN(task, features=width_of(net.backbone, task), weight=0.3),
}


class Looking:
    """Note how sound the net is, and what it scores, a few times along the steps; it leaves the last one."""

    def __init__(self, target, train, held):
        self.target, self.train, self.held, self.seen = target, train, held, []

    def after(self, net, step):
        if step % (STEPS // LOOKS):
            return
        bare, test, kind = self.target.unlabelled.x, self.target.test, self.target.kind
        said = [
            kind.probabilities(predict(net, "target", x, progress=False)) for x in (bare, self.held.x, test.x)
        ]
        far = beyond_of(net, net, "target", self.train, self.held, bare)
        right = float((said[2].argmax(1) == test.y).double().mean())
        sound = hs.measure.sound(said[0], said[1], self.held.y, far)
        self.seen.append({"sound": round(sound, 4), "score": round(100 * right, 2)})

    def keep(self, net):
        return None

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        return None


def looked(pair, make, seed):
    source, target = (hs.datasets.read(f"amazon_reviews:{name}")[0] for name in pair)
    train, held = choice.part(source.train, 0.2, 1000 + seed)
    asked = Task(
        "target", target.kind, target.train.take(torch.arange(0)), unlabelled=Inputs(target.train.x),
        test=target.test,
    )  # fmt: skip
    problem = hs.Problem(asked, [Task("source", source.kind, train)], budget=Budget(pretrain=STEPS))
    trial = Trial(problem, {}, seed, Starts())
    task, net = begun(trial)
    with seeded(seed):
        lower = make(task, net)
    stream = shifted(task, 64, generator=trial.generator("shift"))
    watch = Looking(asked, train, held)
    trial.train(net, [task], lower, steps=STEPS, lr=1e-3, stream=stream, watch=watch, phase="align")
    return watch.seen


def summed(found):
    """Say of each way what its last net scores, the most sound snapshot over it, and the best over it."""
    told = {}
    for way in WAYS:
        runs = [runs for pair in found.values() for runs in pair[way]]
        last = [seen[-1]["score"] for seen in runs]
        over = [max(seen, key=lambda at: at["sound"])["score"] - seen[-1]["score"] for seen in runs]
        best = [max(at["score"] for at in seen) - seen[-1]["score"] for seen in runs]
        told[way] = {
            "last": round(mean(last), 2),
            "most sound over last": round(mean(over), 2),
            "standard error": round(stdev(over) / len(over) ** 0.5, 2),
            "best over last": round(mean(best), 2),
        }
    return told


def main():
    file = HERE / "figures.json"
    found = json.loads(file.read_text())["runs"] if file.exists() else {}
    for pair in PAIRS:
        ways = found.setdefault(">".join(pair), {})
        for way, make in WAYS.items():
            runs = ways.setdefault(way, [])
            for seed in range(len(runs), SEEDS):
                runs.append(looked(pair, make, seed))
                print(pair, way, seed, runs[-1], flush=True)
                file.write_text(json.dumps({"runs": found}, indent=1) + "\n")
    file.write_text(json.dumps({"each way": summed(found), "runs": found}, indent=1) + "\n")
    print(json.dumps(summed(found), indent=1))


if __name__ == "__main__":
    main()
