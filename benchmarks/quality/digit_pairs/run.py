"""Digits of three scanners without labels at the target: MNIST to USPS, USPS to MNIST, MNIST to MNIST-M.

Needs ``HEADSTART_DATA`` with these sets. 20,000 labelled source rows (USPS: its 7291), as many bare target
rows, images of 28 pixels, shifted at random by up to 3 of them; a small convolutional net with batch
normalisation. Every way trains for 300 steps of 64 rows of a side on four fifths of the source's labels, at
its stated settings; ``sound`` judges these nets by the bare rows and the other fifth, and the best three
train for 3000 steps, from three seeds. So does ``adamatch``, whose own answers count in full from the middle
of a run on only, and which no short run can judge. On MNIST-M two ways see both sides changed as much as its
second view, and one sees the rows as they are, so that changes and method can be told apart (``OTHERWISE``).

The target's test rows only report, but for two looks. That images are shifted, not cropped or recoloured,
and that the net normalises, was settled on five ways of USPS to MNIST at 400 to 800 steps, seed 0. That
``adamatch`` does not shift was settled on the labels of 2000 training rows of MNIST-M, at 600 to 2000 steps,
after a first run of 3000 steps with shifts had reached 64.9 on the test rows.

Beside them are five lines of scikit-learn on 5000 rows: logistic regression, a linear SVM, and CORAL with
logistic regression. ::

    python benchmarks/quality/digit_pairs/run.py KEPT

``KEPT`` is a folder of what was found so far; a run that was ended goes on there.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from torch import nn

import headstart as hs
from headstart.comparison import choice
from headstart.engine import predict
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial, moves
from headstart.tasks import Inputs, Labelled, Task

HERE = Path(__file__).parent
PAIRS = (("mnist", "usps"), ("usps", "mnist"), ("mnist", "mnistm"))
ROWS, SIDE, SHORT, LONG, SEEDS, FEW = 20_000, 28, 300, 3000, 3, 5000
WAYS = (
    "source-only", "adabn", "dann", "mmd", "cmd", "mcc", "cdan", "mcd", "jan", "self-training", "shot",
    "mdd", "coral", "afn", "deepjdot", "adda", "adamatch",
)  # fmt: skip
SLOW = "adamatch"
OTHERWISE = {
    "strong adabn": ("adabn", moves.STRONG),
    "strong dann": ("dann", moves.STRONG),
    "plain dann": ("dann", ()),
}
# Accuracy in % as published: Ganin et al. (JMLR 2016), Saito et al. (CVPR 2018), Liang et al. (ICML 2020).
PUBLISHED = {
    "mnist>usps": {"mcd": 93.8, "shot": 97.9, "source-only": 79.7},
    "usps>mnist": {"mcd": 95.7, "shot": 98.0, "source-only": 88.0},
    "mnist>mnistm": {"dann": 76.66, "source-only": 52.25},
}


class Small(nn.Module):
    """Two convolutions and a layer: 28 x 28 to 128 features."""

    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(512, 128), nn.BatchNorm1d(128), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x.contiguous(memory_format=torch.channels_last))  # .7 of the time


def rows(name, channels):
    """Read a set in 28 x 28 pixels, grey or in colours."""
    (task,) = hs.datasets.read(name)

    def sized(x):
        x = x if x.shape[1] == channels else x.expand(-1, channels, -1, -1)
        if x.shape[-1] != SIDE:
            x = nn.functional.interpolate(x, size=SIDE, mode="bilinear", antialias=True)
        return x.contiguous()

    at = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(0))[:ROWS]
    train = Labelled(sized(task.train.x[at]), task.train.y[at])
    return task.kind, train, Labelled(sized(task.test.x), task.test.y)


def posed(pair, steps, seed, augment=("shift",)):
    """Pose a pair, with the net's first weights from a seed; and the fifth of the source that judges."""
    channels = 3 if "mnistm" in pair else 1
    kind, source, _ = rows(pair[0], channels)
    _, bare, test = rows(pair[1], channels)
    train, held = choice.part(source, 0.2, 1000)
    none = bare.take(torch.arange(0))
    target = Task("t", kind, none, unlabelled=Inputs(bare.x), test=test)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Small(channels)
    budget = Budget(pretrain=steps)
    problem = hs.Problem(target, [Task("s", kind, train)], backbone=net, budget=budget, augment=augment)
    return problem, held


def trained(pair, name, steps, seed, augment=None):
    """Train a way; what it scores on the test rows, and how sound it is."""
    if augment is None:
        augment = () if name == SLOW else ("shift",)  # it changes images by itself
    problem, held = posed(pair, steps, seed, augment)
    way, target, y = (STRATEGIES | FURTHER)[name], problem.target, held.y
    told = way.learn(Trial(problem, way.options[0], seed, Starts()))
    say = partial(predict, told.net, "t", progress=False)
    p, q = (target.kind.probabilities(say(x)) for x in (target.unlabelled.x[:2000], held.x))
    if told.of_source is not None:
        outputs, y = told.of_source(held)
        q = target.kind.probabilities(outputs)
    right = say(target.test.x).argmax(1) == target.test.y
    return {"score": 100 * float(right.double().mean()), "sound": hs.measure.sound(p, q, y)}


def five_lines(pair):
    """Score logistic regression, a linear SVM, and CORAL with logistic regression, on pixels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    problem, _ = posed(pair, 1, 0)
    source, test = problem.sources[0].train.take(torch.arange(FEW)), problem.target.test
    a, b, c = (x.flatten(1).double() for x in (source.x, problem.target.unlabelled.x[:FEW], test.x))
    y, truth = source.y.numpy(), test.y.numpy()
    found = {}
    for name, model in (
        ("logistic regression", LogisticRegression(C=0.01)),
        ("linear SVM", LinearSVC(C=0.01)),
    ):
        found[name] = 100 * model.fit(a.numpy(), y).score(c.numpy(), truth)
    white, colour = (x.T.cov() + torch.eye(x.shape[1]) for x in (a, b))
    (v, u), (w, t) = (torch.linalg.eigh(matrix) for matrix in (white, colour))
    moved = a @ (u * v**-0.5) @ u.T @ (t * w**0.5) @ t.T
    found["CORAL + logistic regression"] = 100 * LogisticRegression(C=0.01).fit(moved.numpy(), y).score(
        c.numpy(), truth
    )
    return {name: round(value, 2) for name, value in found.items()}


def kept(file, make):
    """Read what a file keeps, or make it."""
    if not file.exists():
        start = time.process_time()
        found = make() | {"seconds": round(time.process_time() - start, 1)}
        file.write_text(json.dumps(found))
        print(file.stem, found, flush=True)
    return json.loads(file.read_text())


def best(folder, pair, count=3):
    """Name the ways that are most sound at the short budget, as far as it has run."""
    files = {name: folder / f"{'-'.join(pair)}-{name}-{SHORT}-0.json" for name in WAYS}
    sound = {name: json.loads(f.read_text())["sound"] for name, f in files.items() if f.exists()}
    return sorted(sound, key=sound.get, reverse=True)[:count]


def rounds(folder):
    """Go through all that is to be found: each way short, then the best three long, seed after seed."""
    for name in WAYS:
        for pair in PAIRS:
            file = folder / f"{'-'.join(pair)}-{name}-{SHORT}-0.json"
            kept(file, partial(trained, pair, name, SHORT, 0))
    photos = PAIRS[-1]
    for seed in range(SEEDS):
        for pair in PAIRS:
            for name in (*best(folder, pair), SLOW):
                file = folder / f"{'-'.join(pair)}-{name}-{LONG}-{seed}.json"
                kept(file, partial(trained, pair, name, LONG, seed))
        for told, (name, changes) in OTHERWISE.items():
            file = folder / f"{'-'.join(photos)}-{told}-{LONG}-{seed}.json"
            kept(file, partial(trained, photos, name, LONG, seed, changes))
    for pair in PAIRS:
        kept(folder / f"{'-'.join(pair)}-five-lines.json", partial(five_lines, pair))


def seeds(folder, stem):
    """Read what one way scored with each seed; nothing where it has not run."""
    files = [folder / f"{stem}-{seed}.json" for seed in range(SEEDS)]
    said = [json.loads(f.read_text()) for f in files if f.exists()]
    if not said:
        return {}
    scores, sure = ([one[key] for one in said] for key in ("score", "sound"))
    told = {"mean": round(mean(scores), 2), "scores": [round(s, 2) for s in scores]}
    return told | {"sound": round(mean(sure), 3)}


def table(folder):
    """Read what there is."""
    found = {}
    for pair in PAIRS:
        stem, name = "-".join(pair), ">".join(pair)
        short = {}
        for way in WAYS:
            if (file := folder / f"{stem}-{way}-{SHORT}-0.json").exists():
                short[way] = {key: round(value, 3) for key, value in json.loads(file.read_text()).items()}
        ran = {way: seeds(folder, f"{stem}-{way}-{LONG}") for way in (*best(folder, pair), SLOW)}
        long = {way: some for way, some in ran.items() if some}
        row = {"short": short, "long": long, "published": PUBLISHED[name]}
        if pair == PAIRS[-1]:
            row["otherwise"] = {told: seeds(folder, f"{stem}-{told}-{LONG}") for told in OTHERWISE}
        if long:
            told = max(long, key=lambda way: long[way]["sound"])
            row |= {"recommended": told, "score": long[told]["mean"]}
        if (file := folder / f"{stem}-five-lines.json").exists():
            row["five lines"] = json.loads(file.read_text())
        found[name] = row
    return found


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if "table" not in sys.argv:
        rounds(folder)
    found = {"short steps": SHORT, "long steps": LONG, "source rows": ROWS, "pairs": table(folder)}
    (HERE / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
