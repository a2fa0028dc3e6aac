"""What reuse brings to chest X-rays, from few labels and from all; and what adapting to a scanner brings.

``python benchmarks/quality/pneumonia/run.py`` (or names of ways) goes on with what is not in ``figures.json``
beside this file. Needs ``HEADSTART_DATA`` with ``medmnist:pneumonia``, ``mnist``, ``usps`` and ``omniglot``,
and ``headstart weights efficientnet_lite0``. Every way has its stated defaults, classes count alike in
training, and neither test rows nor the set's own validation rows have a say in anything.

Labels are counted per class: of ten X-rays drawn as they come two would be normal, and which two would
decide. The 2,000 rows are drawn as they come. From all rows the seeds differ in what is drawn besides:
batches and weights.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import headstart as hs
from headstart.atomic import write_atomic
from headstart.comparison.learned import measured, outputs_of
from headstart.datasets import unlabel
from headstart.engine import FeatureStore
from headstart.maths.random import generator
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.tasks import Inputs, Labelled, Task

FILE = Path(__file__).with_name("figures.json")
SEEDS = 3
MANY = {"2000 rows": 1000, "all": None}  # labels per class, on average
LABELS = {"10": 10, "30": 30, "100": 100, **MANY}
LITE0 = {"backbone": "wheel:efficientnet_lite0", "settings": {"size": 64, "raw": True}}
LARGER = {"backbone": "wheel:efficientnet_lite0", "settings": {"size": 96, "raw": True}}
CONV4 = {"backbone": "conv4", "settings": {"width": 32}}


@dataclass(frozen=True)
class Way:
    """Say what runs, and on what.

    Args:
        strategy: its name.
        start: the arguments of a problem that say what there is to start from.
        sources: whether the net is pretrained on digits and characters.
        labels: for which numbers of them.
        balanced: whether classes count alike.
    """

    strategy: str
    start: dict[str, object]
    sources: bool = False
    labels: tuple[str, ...] = tuple(LABELS)
    balanced: bool = True


WAYS = {
    "raw+logreg": Way("raw+logreg", CONV4),
    "raw+svm": Way("raw+svm", CONV4),
    "raw+boosting": Way("raw+boosting", CONV4),
    "scratch, conv4": Way("scratch", CONV4),
    "scratch, Lite0": Way("scratch", LITE0, labels=("100",)),
    "features+logreg, conv4 of other image sets": Way("features+logreg", CONV4, True),
    "features@layer+logreg, conv4 of other image sets": Way("features@layer+logreg", CONV4, True),
    "finetune, conv4 of other image sets": Way("finetune", CONV4, True),
    "finetune@layer, conv4 of other image sets": Way("finetune@layer", CONV4, True),
    "features+logreg, Lite0": Way("features+logreg", LITE0),
    "features@layer+logreg, Lite0": Way("features@layer+logreg", LITE0),
    "features@layer+logreg, Lite0, classes as they come": Way(
        "features@layer+logreg", LITE0, labels=tuple(MANY), balanced=False
    ),
    "features@layer+logreg, Lite0 at 96 pixels": Way("features@layer+logreg", LARGER),
    "finetune@layer, Lite0": Way("finetune@layer", LITE0, labels=("10", "30", "100", "all")),
}
SHIFTED = ("source+logreg", "source-only", "adabn", "coral", "mmd", "dann")


@cache
def rows() -> Task:
    (task,) = hs.datasets.read("medmnist:pneumonia")
    return replace(task, valid=None)


@cache
def sources() -> list[Task]:
    """Read the other image sets: digits of two scanners, and 1,028 characters."""
    return [hs.datasets.read(name)[0] for name in ("mnist", "usps:28", "omniglot:train")]


@cache
def problem(name: str, labels: str) -> hs.Problem:
    way = WAYS[name]
    return hs.Problem(
        rows(), sources() if way.sources else [], **way.start, shots=LABELS[labels], metric="accuracy",
        draw="random" if labels in MANY else "equal", class_weights="balanced" if way.balanced else "none",
        budget=Budget(options=1, pretrain=300),
    )  # fmt: skip


def learned(name: str, labels: str, seed: int, starts: Starts) -> dict[str, float]:
    posed = problem(name, labels)
    return run(WAYS[name].strategy, posed.cut(LABELS[labels], seed), seed, starts)


def run(strategy: str, posed: hs.Problem, seed: int, starts: Starts) -> dict[str, float]:
    """Run a way once, with its first setting, and score it on the test rows."""
    way, target = (STRATEGIES | FURTHER)[strategy], posed.target
    trained = way.learn(Trial(posed, way.options[0], seed, starts))
    found = measured(target, *outputs_of(starts, trained.net, target, target.test), "accuracy", "auroc")
    told = {name: round(value, 4) for name, value in found.items()}
    return told | {key: trained.told[key] for key in ("layer", "share") if key in trained.told}


def scanned(x: Tensor, seed: int) -> Tensor:
    """Take X-rays ``(B, 1, 28, 28)`` once more, by a simulated scanner.

    It is darker in the middle tones, has two thirds of the contrast, less light at the edges, is less sharp
    and has noise.
    """
    across = torch.linspace(-1, 1, 28)
    light = 1 - 0.3 * (across[:, None].square() + across[None].square()) / 2
    x = x.pow(1.5).mul(0.66).add(0.2) * light
    x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return (x + 0.05 * torch.randn(x.shape, generator=generator("scanner", seed))).clamp(0, 1)


@cache
def shifted(known: bool) -> hs.Problem:
    """Pose the other scanner: half of the rows have labels and came from the first one.

    The other half came from the other scanner and have none, as the test rows; where ``known``, what would
    have been reached with their labels.
    """
    task = rows()
    order = torch.randperm(len(task.train), generator=generator("scanners"))
    first, other = (task.train.take(at) for at in order.chunk(2))
    moved = Labelled(scanned(other.x, 0), other.y)
    test = Labelled(scanned(task.test.x, 1), task.test.y)
    target = replace(task, train=moved, test=test)
    if not known:
        target = replace(unlabel(target), unlabelled=Inputs(moved.x))
    return hs.Problem(
        target, [Task("first scanner", task.kind, first)], **CONV4, metric="accuracy",
        class_weights="balanced", budget=Budget(options=1, pretrain=300), shift=0,
    )  # fmt: skip


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    for seed in range(SEEDS):
        starts: dict[object, Starts] = {}
        for name in [n for n in WAYS if not names or n in names]:
            way = WAYS[name]
            held = starts.setdefault((repr(way.start), way.sources), Starts(STORE))
            for labels in way.labels:
                make = partial(learned, name, labels, seed, held)
                note("labels", name, labels, seed, make)
        for name in [n for n in (*SHIFTED, "with their labels") if not names or n in names]:
            known = name == "with their labels"
            strategy = "raw+svm" if known else name
            make = partial(run, strategy, shifted(known), seed, Starts())
            note("another scanner", name, "none", seed, make)


STORE = FeatureStore()


def note(part: str, name: str, labels: str, seed: int, make: Callable[[], dict[str, float]]) -> None:
    """Run what is not in the file yet, and write it there beside what other processes wrote meanwhile."""
    if str(seed) in kept().get(part, {}).get(name, {}).get(labels, {}):
        return
    began = time.process_time()
    told = make() | {"seconds": round(time.process_time() - began, 1)}
    done = kept()
    done.setdefault(part, {}).setdefault(name, {}).setdefault(labels, {})[str(seed)] = told
    write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
    print(part, name, labels, seed, told, flush=True)


def kept() -> dict[str, dict]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


if __name__ == "__main__":
    main(sys.argv[1:])
