"""What denoised rows and answers together are worth on pairs of Amazon products, way by way.

Needs ``HEADSTART_DATA`` with the Amazon reviews. On each pair nets are trained once (one seed, 300 steps of
64 rows of a side, four fifths of the source's labels) on the rows as they are and on denoised ones; the other
fifth of the labels and the bare rows of the target judge (``sound``). The mean is that of ``adapted+mean``:
``mmd``, ``cmd``, and ``mmd`` and a logistic regression on denoised rows, each as sure as held-out source rows
bear out, without those that lose the source. ::

    python benchmarks/quality/amazon_pairs/denoised.py KEPT

``KEPT`` is a folder of what nets said; a run that was ended goes on there, and pairs that are missing are
left out of the figures.
"""

from __future__ import annotations

import json
import sys
from itertools import permutations
from pathlib import Path

import numpy
import torch

import headstart as hs
from headstart.comparison import choice
from headstart.engine import predict
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.strategies.recipes.denoising import denoised
from headstart.strategies.recipes.together import LOSES, cooled
from headstart.tasks import Inputs, Labelled, Task

HERE = Path(__file__).parent
NAMES = ("books", "dvd", "electronics", "kitchen")
STEPS, SEED, NOISE = 300, 0, 0.7
PLAIN, DENOISED = "raw", "d"
WAYS = [
    (PLAIN, "source+logreg", {"C": 0.1}),
    (PLAIN, "source-only", {"lr": 1e-3}),
    *((PLAIN, "mmd", {"weight": w}) for w in (0.1, 0.3)),
    *((PLAIN, "cmd", {"weight": w}) for w in (0.1, 0.3)),
    (PLAIN, "dann", {"weight": 0.3}),
    (PLAIN, "mcc", {"weight": 0.3}),
    (DENOISED, "msda", {}),
    (DENOISED, "source-only", {"lr": 1e-3}),
    *((DENOISED, "mmd", {"weight": w}) for w in (0.1, 0.3)),
    (DENOISED, "cmd", {"weight": 0.3}),
    (DENOISED, "dann", {"weight": 0.3}),
]
SOURCE = "raw source-only 0.001"
MEMBERS = ("raw mmd 0.3", "raw cmd 0.3", "d mmd 0.3", "d msda")


def key(rows, name, settings):
    """Name a way, the rows that it takes first."""
    return f"{rows} {name} {' '.join(f'{value:g}' for value in settings.values())}"


def said(source, target):
    """Train each way; keep what it says of bare, held-out and test rows."""
    from sklearn.linear_model import LogisticRegression

    rows = {PLAIN: (source.train.x, target.train.x, target.test.x)}
    layers = denoised(torch.cat(rows[PLAIN][:2]), NOISE)
    with torch.no_grad():
        rows[DENOISED] = tuple(layers(x) for x in rows[PLAIN])
    found = {"test y": target.test.y.numpy()}
    for which, name, settings in WAYS:
        own, bare, test = rows[which]
        train, held = choice.part(Labelled(own, source.train.y), 0.2, 1000)
        found["held y"] = held.y.numpy()
        if name == "msda":
            model = LogisticRegression(C=0.01, max_iter=200).fit(train.x.numpy(), train.y.numpy())
            answers = [model.predict_proba(x.numpy()) for x in (bare, held.x, test)]
        else:
            asked = Task("t", target.kind, Labelled(bare[:0], target.train.y[:0]), unlabelled=Inputs(bare),
                         test=Labelled(test, target.test.y))  # fmt: skip
            posed = hs.Problem(asked, [Task("s", source.kind, train)], budget=Budget(pretrain=STEPS))
            net = (STRATEGIES | FURTHER)[name].learn(Trial(posed, settings, SEED, Starts())).net
            answers = [
                target.kind.probabilities(predict(net, "t", x, progress=False)).numpy()
                for x in (bare, held.x, test)
            ]
        for part, p in zip(("bare", "held", "test"), answers, strict=True):
            found[f"{key(which, name, settings)}|{part}"] = p.astype(numpy.float32)
    return found


def judged(file):
    """Score each way and the mean on the test rows, and say how sound each is."""
    z = numpy.load(file)
    y, truth = torch.from_numpy(z["held y"]), z["test y"]
    ways = {key(*way): [torch.from_numpy(z[f"{key(*way)}|{p}"]).double() for p in ("bare", "held", "test")]
            for way in WAYS}  # fmt: skip
    members, right = [], []
    for name, parts in ways.items():
        if name.strip() in MEMBERS:
            logs = [p.clamp(min=1e-12).log() for p in parts]
            warm, t = cooled(lambda outputs: outputs.softmax(1), logs[1], y)
            members.append([log / t for log in logs])
            right.append(float((warm.argmax(1) == y).double().mean()))
    kept = [m for m, score in zip(members, right, strict=True) if score >= max(right) - LOSES]
    ways["adapted+mean"] = [torch.stack(part).mean(0).softmax(1) for part in zip(*kept, strict=True)]
    return {
        name.strip(): {
            "score": round(100 * float((test.argmax(1).numpy() == truth).mean()), 2),
            "sound": round(hs.measure.sound(bare, held, y), 3),
        }
        for name, (bare, held, test) in ways.items()
    }


def main():
    kept, pairs = Path(sys.argv[1]), {}
    read = {name: hs.datasets.read(f"amazon_reviews:{name}")[0] for name in NAMES}
    for one, other in permutations(NAMES, 2):
        file = kept / f"{one}-{other}.npz"
        if not file.exists() and "table" not in sys.argv:
            print(one, other, flush=True)
            numpy.savez(file, **said(read[one], read[other]))
        if file.exists():
            pairs[f"{one}>{other}"] = judged(file)
    names = list(next(iter(pairs.values())))
    told = {pair: max(ways, key=lambda name: ways[name]["sound"]) for pair, ways in pairs.items()}
    over = {pair: ways[told[pair]]["score"] - ways[SOURCE]["score"] for pair, ways in pairs.items()}
    found = {
        "pairs": len(pairs),
        "most sound": told,
        "mean of the most sound": round(numpy.mean([ways[told[p]]["score"] for p, ways in pairs.items()]), 2),
        "worst over source-only": round(min(over.values()), 2),
        "adapted+mean over source-only": {
            p: round(ways["adapted+mean"]["score"] - ways[SOURCE]["score"], 2) for p, ways in pairs.items()
        },
        "each way": {
            name: round(numpy.mean([ways[name]["score"] for ways in pairs.values()]), 2) for name in names
        },
        "by pair": pairs,
    }
    (HERE / "denoised.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({name: value for name, value in found.items() if name != "by pair"}, indent=1))


if __name__ == "__main__":
    main()
