"""Are the weights that a validator trusts most better than the last ones? On four pairs of Amazon products.

Needs ``HEADSTART_DATA`` with the Amazon reviews. Nets are trained for 300 steps of 64 rows of a side, with
two seeds; at a quarter, a half, three quarters and the end ``sound`` judges them by the target's bare rows
and a tenth of the source's labelled ones, as ``Budget(looks=4)`` does. The target's test file chooses
nothing; it tells afterwards what the weights were worth that came out (``left``), the last ones, and the most
sound of the four, without regard to noise. ``mmd`` at weight 1 is among them because it collapses on the
way. ::

    python benchmarks/quality/checkpoints/run.py

It goes on where it was ended: remove ``figures.json`` to begin anew. Twenty minutes of one thread.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev

import torch

import headstart as hs
from headstart.domains import CMD, DANN, MMD
from headstart.engine import evaluate, seeded
from headstart.strategies import Budget, Starts, Trial
from headstart.strategies.recipes.align import aligned, begun
from headstart.strategies.situation import width_of
from headstart.tasks import Inputs, Task

HERE = Path(__file__).parent
PAIRS = (("books", "kitchen"), ("kitchen", "dvd"), ("dvd", "electronics"), ("electronics", "books"))
STEPS, LOOKS, SEEDS = 300, 4, 2
WAYS = {
    "mmd 0.3": lambda task, net: MMD(task, weight=0.3),
    "mmd 1": lambda task, net: MMD(task, weight=1.0),
    "cmd 0.3": lambda task, net: CMD(task, weight=0.3),
    "dann 0.3": lambda task, net: DANN(task, features=width_of(net.backbone, task), weight=0.3),
}


def looked(pair, make, seed):
    """Train once; tell what the net scored at each look, how sound it was, and what came out."""
    source, target = (hs.datasets.read(f"amazon_reviews:{name}")[0] for name in pair)
    bare, none = Inputs(target.train.x), target.train.take(torch.arange(0))
    asked = Task("target", target.kind, none, unlabelled=bare, test=target.test)
    problem = hs.Problem(
        asked, [Task("source", source.kind, source.train)], budget=Budget(pretrain=STEPS, looks=LOOKS)
    )
    trial, seen = Trial(problem, {}, seed, Starts()), []
    task, net, watch = begun(trial, STEPS)
    judged = watch.losses

    def noted(net):
        losses = judged(net)
        seen.append({"sound": round(-float(losses.mean()), 4), "score": score(net)})
        return losses

    def score(net):
        return round(100 * evaluate(net, asked)["accuracy"].value, 2)

    watch.losses = noted
    with seeded(seed):
        lower = make(task, net)
    return {"looks": seen, "left": score(aligned(trial, net, task, lower, watch=watch).net)}


def summed(found):
    """Say of each way what its last weights score, and what others do over them."""
    told = {}
    for way in WAYS:
        runs = [run for pair in found.values() for run in pair.get(way, [])]
        last = [run["looks"][-1]["score"] for run in runs]
        over = {
            "left": [run["left"] for run in runs],
            "most sound": [max(run["looks"], key=lambda at: at["sound"])["score"] for run in runs],
            "best": [max(at["score"] for at in run["looks"]) for run in runs],
        }
        told[way] = {"runs": len(runs), "last": round(mean(last), 2)}
        for name, scores in over.items():
            more = [a - b for a, b in zip(scores, last, strict=True)]
            told[way][f"{name} over last"] = round(mean(more), 2)
            told[way][f"{name}, standard error"] = round(stdev(more) / len(more) ** 0.5, 2)
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
