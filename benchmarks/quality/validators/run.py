"""Which validator chooses best among nets for a target without labels?

Needs ``HEADSTART_DATA`` with the Amazon reviews. For each pair of domains some ways are trained once, at a
small budget, on four fifths of the source's labels; every validator then names one of them by the target's
bare rows and the source's other labels. Test labels tell afterwards what each choice was worth. ``KEPT``
keeps what nets said, so that a validator that is added later needs no training. ::

    python benchmarks/quality/validators/run.py KEPT
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy
import torch

import headstart as hs
from headstart.comparison import choice
from headstart.engine import predict
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.strategies.reading import beyond_of
from headstart.strategies.recipes.sides import drawn_alike
from headstart.strategies.validating import SEEING, VALIDATORS, WEIGHTED
from headstart.tasks import Inputs, Labelled, Task

HERE = Path(__file__).parent
STEPS, SEED = 300, 0
SOURCE, ONCE = "source-only 0.001", "sound, with the source counted once"
WAYS = [
    ("source+logreg", {"C": 0.1}),
    ("source-only", {"lr": 1e-3}),
    *(("mmd", {"weight": w}) for w in (0.1, 0.3, 1.0)),
    ("cmd", {"weight": 0.3}),
    ("dann", {"weight": 0.3}),
    ("mcc", {"weight": 0.3}),
    ("bbse", {"C": 0.1}),
]


def amazon():
    names = ("books", "dvd", "electronics", "kitchen")
    read = {name: hs.datasets.read(f"amazon_reviews:{name}")[0] for name in names}
    for one, other in permutations(names, 2):
        yield f"{one}>{other}", read[one], read[other]


def sites():
    """Pose wine and breast cancer as two sites: rows below and above the middle of a column, moved."""
    from sklearn.datasets import load_breast_cancer, load_wine

    for name, load in (("wine", load_wine), ("breast cancer", load_breast_cancer)):
        table = load()
        x = torch.from_numpy((table.data - table.data.mean(0)) / table.data.std(0)).float()
        y = torch.from_numpy(table.target).long()
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
        for moved in (0.0, 1.0):
            near, far = order[::2], order[1::2]
            there = x[far] * (1 + 0.5 * moved) + moved
            kind = hs.tasks.Multiclass(len(table.target_names))
            half = len(far) // 2
            source = Task("near", kind, Labelled(x[near], y[near]))
            target = Task("far", kind, Labelled(there[:half], y[far][:half]),
                          test=Labelled(there[half:], y[far][half:]))  # fmt: skip
            yield f"{name}, {'moved' if moved else 'alike'}", source, target


def said(source, target):
    """Train each way; keep what it says of the target's bare rows, held-out source rows and test rows."""
    train, held = choice.part(source.train, 0.2, 1000)
    bare = target.train
    asked = Task("t", target.kind, bare.take(torch.arange(0)), unlabelled=Inputs(bare.x), test=target.test)
    problem = hs.Problem(asked, [Task("s", source.kind, train)], budget=Budget(pretrain=STEPS))
    alike = drawn_alike(problem, held, 1000)
    found = {"held y": held.y.numpy(), "alike y": alike.y.numpy(), "test y": target.test.y.numpy()}
    parts = {"bare": bare.x, "held": held.x, "alike": alike.x, "train": train.x, "test": target.test.x}
    for name, settings in WAYS:
        start = time.time()
        trained = (STRATEGIES | FURTHER)[name].learn(Trial(problem, settings, SEED, Starts()))
        net, way = trained.net, f"{name} {next(iter(settings.values())):g}"
        beyond = trained.beyond or partial(beyond_of, net, net, "t")
        found[f"{way}|outside"] = numpy.float64(beyond(train, held, bare.x))
        for part, x in parts.items():
            p = target.kind.probabilities(predict(net, "t", x, progress=False))
            found[f"{way}|{part}"] = p.numpy().astype(numpy.float32)
        print(way, f"{(found[f'{way}|test'].argmax(1) == found['test y']).mean():.4f}",
              f"{time.time() - start:.1f} s", flush=True)  # fmt: skip
    return found


def judged(file):
    """Give each way's test accuracy in %, and what each validator chooses.

    Those that do not see the source choose among ways that keep its accuracy, as in ``compare``.
    """
    z = numpy.load(file)
    named = [f"{name} {next(iter(settings.values())):g}" for name, settings in WAYS]
    y, alike_y, right = torch.from_numpy(z["held y"]), torch.from_numpy(z["alike y"]), {}
    scores, worth = {}, {name: [] for name in (*VALIDATORS, ONCE)}
    for way in named:
        bare, held, alike, test = (
            torch.from_numpy(z[f"{way}|{part}"]) for part in ("bare", "held", "alike", "test")
        )
        outside = float(z[f"{way}|outside"])
        scores[way] = round(100 * float((test.numpy().argmax(1) == z["test y"]).mean()), 2)
        right[way] = float((held.argmax(1) == y).double().mean())
        for name, validator in VALIDATORS.items():
            sides = (alike, alike_y) if name == WEIGHTED else (held, y)
            value = validator(bare, *sides, outside, None)
            worth[name].append((value, 0.0 if name in SEEING else right[way]))
        plain = hs.measure.information(bare) + hs.measure.source_risk(held, y)
        worth[ONCE].append((plain, 0.0))
    return scores, {name: named[choice.best([[pair] for pair in pairs])] for name, pairs in worth.items()}


def summed(pairs, names):
    """Say of each validator what its choices score on average, over source-only and below the best."""
    found = {}
    for name in next(iter(pairs.values()))["chosen"]:
        there = [pairs[pair] for pair in names]
        got = [p["scores"][p["chosen"][name]] for p in there]
        over = [g - p["scores"][SOURCE] for g, p in zip(got, there, strict=True)]
        cost = [max(p["scores"].values()) - g for g, p in zip(got, there, strict=True)]
        found[name] = {
            "mean": round(float(numpy.mean(got)), 2),
            "over source-only": round(float(numpy.mean(over)), 2),
            "worst over source-only": round(min(over), 2),
            "below the best": round(float(numpy.mean(cost)), 2),
        }
    return found


def main():
    kept, pairs = Path(sys.argv[1]), {}
    for pair, source, target in (*sites(), *amazon()):
        file = kept / f"{pair.replace('>', '-').replace(', ', '-').replace(' ', '-')}.npz"
        if not file.exists():
            print(pair, flush=True)
            numpy.savez(file, **said(source, target))
        scores, chosen = judged(file)
        pairs[pair] = {"scores": scores, "chosen": chosen}
    reviews = [name for name in pairs if ">" in name]
    found = {
        "pairs": pairs,
        "all": summed(pairs, list(pairs)),
        "amazon reviews": summed(pairs, reviews),
        "each way on amazon reviews": {
            way: round(float(numpy.mean([pairs[name]["scores"][way] for name in reviews])), 2)
            for way in pairs[reviews[0]]["scores"]
        },
    }
    (HERE / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({key: value for key, value in found.items() if key != "pairs"}, indent=1))


if __name__ == "__main__":
    main()
