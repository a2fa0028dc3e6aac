"""Omniglot at 28 x 28, Vinyals et al.'s split, turns as classes: how far two small budgets get.

Needs ``HEADSTART_DATA`` with Omniglot. ProtoNet is trained once, on 1 shot of 60 ways, and MAML on 1 shot of
5 ways with one inner step of 0.4 (three when tested), both with Conv4-64 whose convolutions stride (256
features), Adam and a rate that falls along a cosine; nothing was chosen by looking at test characters.
Budgets are steps; what they took is written in processor seconds of one thread. They are a small part of the
papers'. ``pooled`` is ProtoNet once more with the net of its paper, max-pooling to 64 features, whose step
takes four times as long, and a rate of 0.003. Both were chosen by a minute of training and 300 episodes of
the validation characters: 93.0 and 81.1 (5 and 20 ways, 1 shot), strides with 0.001 89.9 and 73.8. With
support and query rows normalised together strides had 88.8 and 71.8, with 0.003 92.2 and 79.2, pooling with
0.001 91.3 and 76.7; with images turned and shifted a little as well, strides had 86.0 and 66.1.

Every method answers the same 1000 test episodes with 15 queries per class, ``TIM`` and ``Logistic`` the first
200 of them. Those that leave the trunk alone answer one row at a time, by features that were computed once;
``TIM`` and ``LaplacianShot`` see all queries.
MAML is judged in both ways: *transductive* lets batch normalisation go by all queries of the episode.

``mnist`` takes the net of ProtoNet to digits of MNIST: 10 ways, 1 and 5 shots, 100 episodes of test rows, by
every way to adapt that needs no meta-training of its own, beside fine-tuning (the head or all weights, 50
steps of Adam, normalisation fixed) of the same net, a net with new weights, and regression on pixels. What
moves weights of the trunk, or starts from pixels, is judged by the first 30 of them.

    python benchmarks/quality/omniglot/run.py [protonet | pooled | maml | mnist]

Training goes on where it stopped, by the checkpoints under ``runs/omniglot``.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import headstart as hs
from headstart import meta
from headstart.engine import Run
from headstart.maths.random import generator
from headstart.models import Adapted
from headstart.tasks import Labelled, Multiclass, Task, draw_episodes

HERE = Path(__file__).parent
RUNS = HERE.parents[2] / "runs" / "omniglot"
STEPS = {"protonet": 2500, "pooled": 2200, "maml": 16000}
TESTED, QUERIES, FEW = 1000, 15, {"TIM": 200, "Logistic": 200}


def read(part):
    (task,) = hs.datasets.read(f"omniglot:{part}+rotations")
    return task


def a_net(ways, geometry="strided"):
    torch.manual_seed(0)
    trunk = hs.models.conv4(1, width=64, geometry=geometry, norm="batch", size=28)
    return hs.Net(trunk, {"t": nn.Linear(trunk.width, ways)})


def protonet(name="protonet", geometry="strided", lr=1e-3):
    net = a_net(60, geometry)
    stream = hs.episodes(
        read("train"), ways=60, shots=1, queries=4, per_step=1, generator=generator(0, "omniglot", 1)
    )
    return net, train(name, net, stream, meta.Episodic(meta.ProtoNet("t")), lr)


def maml():
    net = a_net(5)
    stream = hs.episodes(
        read("train"), ways=5, shots=1, queries=1, per_step=16, generator=generator(0, "omniglot", 2)
    )
    return net, train("maml", net, stream, meta.Episodic(meta.MAML("t", lr=0.4, steps=1)))


def train(name, net, stream, objective, lr=1e-3):
    """Meta-train or go on with it, and return the processor seconds of all parts together."""
    steps = STEPS[name]
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    told = RUNS / f"{name}.seconds"
    before = float(told.read_text()) if told.is_file() else 0.0
    began = time.process_time()
    with Run.create(RUNS / name, {"method": name, "steps": steps}) as run:
        hs.fit(
            net, stream, objective, steps=steps, optimizer=optimizer, scheduler=schedule, run=run,
            progress=False,
        )  # fmt: skip
    seconds = before + time.process_time() - began
    if seconds - before > 5:  # a phase that is finished is only restored
        told.write_text(f"{seconds:.1f}")
    return seconds


@torch.no_grad()
def embedded(net, task):
    """Return the features of all rows as a task of their own."""
    net.eval()
    z = torch.cat([net.features(x, "t") for x in task.train.x.split(512)])
    return Task(task.name, Multiclass(task.kind.classes), Labelled(z, task.train.y))


def row(scores, name):
    return {
        how: [
            round(100 * scores.mean(name, how), 2),
            round(50 * (scores.ci95(name, how)[1] - scores.ci95(name, how)[0]), 2),
        ]
        for how in scores.scores[name]
    }


def heads(net, centre):
    """Name what adapts a head on features, or answers all queries together, with nothing learned anew."""
    return {
        "ProtoNet": meta.ProtoNet("t"),
        "SimpleShot": meta.SimpleShot("t", centre),
        "Ridge": meta.Ridge("t"),
        "Logistic": meta.Logistic("t"),
        "TIM": meta.TIM("t"),
        "LaplacianShot": meta.LaplacianShot("t"),
    }


def write(part):
    path = HERE / "figures.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    for name, rows in part.items():
        found[name] = {**found.get(name, {}), **rows}
    path.write_text(json.dumps(found, indent=1) + "\n")


def test_protonet():
    judge("protonet", *protonet())


def test_pooled():
    few = ("ProtoNet", "SimpleShot", "LaplacianShot")
    judge("pooled", *protonet("pooled", "pooled", 3e-3), "a pooled ProtoNet", few)


def judge(budget, net, seconds, of="ProtoNet", names=None):
    write({"budget": {budget: {"steps": STEPS[budget], "processor seconds": round(seconds)}}})
    train_rows = read("train").train.x
    with torch.no_grad():
        net.eval()
        centre = torch.cat([net.features(x, "t") for x in train_rows[::17].split(512)]).mean(0)
    test = embedded(net, read("test"))
    for ways in (5, 20):
        for shots in (1, 5):
            drawn = draw_episodes(test, TESTED, ways=ways, shots=shots, queries=QUERIES, seed=0)
            plain = hs.Net(nn.Identity(), {"t": nn.Linear(test.train.x.shape[1], ways)})
            for name, method in heads(plain, centre).items():
                if names is not None and name not in names:
                    continue
                some = drawn[: FEW.get(name, TESTED)]
                scores = meta.evaluate_episodes({name: (plain, method)}, test, some, progress=False)
                found = row(scores, name)
                print(f"{ways} ways, {shots} shots", name, found, flush=True)
                write({f"{ways} ways, {shots} shots": {f"{name}, features of {of}": found}})


def test_maml():
    net, seconds = maml()
    write({"budget": {"maml": {"steps": STEPS["maml"], "processor seconds": round(seconds)}}})
    test = read("test")
    drawn = draw_episodes(test, TESTED, ways=5, shots=1, queries=QUERIES, seed=0)
    methods = {"MAML, meta-trained for itself": (net, meta.MAML("t", lr=0.4, steps=3))}
    scores = meta.evaluate_episodes(methods, test, drawn, progress=False)
    for name in methods:
        print(name, row(scores, name), flush=True)
        write({"5 ways, 1 shots": {name: row(scores, name)}})


class FineTuned:
    """Train all weights, or the head alone, from a head of zeros on."""

    def __init__(self, steps=50, lr=1e-3, only=""):
        self.task, self.steps, self.lr, self.only = "t", steps, lr, only

    def __call__(self, net, support):
        own = copy.deepcopy(net)
        moved = {n: p for n, p in own.named_parameters() if n.startswith(self.only)}
        optimizer = torch.optim.Adam(moved.values(), lr=self.lr)
        with torch.enable_grad():
            for _ in range(self.steps):
                optimizer.zero_grad()
                cross_entropy(own(support.x, "t"), support.y).backward()
                optimizer.step()
        return Adapted(net, "t", {n: p.detach() for n, p in moved.items()})


def test_mnist():
    net, _ = protonet()
    (digits,) = hs.datasets.read("mnist:28")
    images = Task("mnist", Multiclass(10), digits.test.take(torch.arange(2000)))
    fixed, new = copy.deepcopy(net), a_net(10)
    hs.models.fix_norms(fixed)
    known = json.loads((HERE / "figures.json").read_text())
    features = embedded(net, images)
    width = features.train.x.shape[1]
    for shots in (1, 5):
        drawn = draw_episodes(images, 100, ways=10, shots=shots, queries=QUERIES, seed=0)
        plain = hs.Net(nn.Identity(), {"t": nn.Linear(width, 10)})
        pixels = hs.Net(nn.Flatten(), {"t": nn.Linear(784, 10)})
        on_features = {
            **heads(net, None),
            "CosineProtoNet": meta.CosineProtoNet("t"),
            "Matching": meta.Matching("t"),
            "Siamese": meta.Siamese("t"),
            "BaselinePlusPlus": meta.BaselinePlusPlus("t"),
            "ANIL, 50 steps of 0.01": meta.ANIL("t", lr=0.01, steps=50),
        }
        on_images = {
            "head trained": (fixed, FineTuned(lr=1e-2, only="heads.")),
            "all weights fine-tuned": (fixed, FineTuned()),
            "MAML, 20 steps of 0.01": (fixed, meta.MAML("t", lr=0.01, steps=20)),
            "iMAML, 20 steps of 0.01": (fixed, meta.iMAML("t", lr=0.01, steps=20)),
            "new weights, all trained": (new, FineTuned()),
            "pixels, Logistic": (pixels, meta.Logistic("t")),
        }
        jobs = [(name, features, (plain, method)) for name, method in on_features.items()]
        jobs += [(name, images, method) for name, method in on_images.items()]
        for name, task, method in jobs:
            if name in known.get(f"mnist, 10 ways, {shots} shots", {}):
                continue  # it goes on where it stopped
            some = drawn if task is features else drawn[:30]
            scores = meta.evaluate_episodes({name: method}, task, some, progress=False)
            print(f"mnist, {shots} shots", name, row(scores, name), flush=True)
            write({f"mnist, 10 ways, {shots} shots": {name: row(scores, name)}})


def main(names):
    torch.set_num_threads(1)
    tests = {"protonet": test_protonet, "pooled": test_pooled, "maml": test_maml, "mnist": test_mnist}
    for name, run in tests.items():
        if not names or name in names:
            run()


if __name__ == "__main__":
    main(sys.argv[1:])
