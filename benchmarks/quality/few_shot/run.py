"""Every adaptation at one small budget: Omniglot 5-way 1-shot, and sine curves from 10 points.

Needs ``HEADSTART_DATA`` with Omniglot. ``STEPS`` steps of eight episodes on one thread are far below what
papers train for (60,000 steps of 32): the figures say that methods learn, not which is best at length. They
are written beside this file: accuracies and mean squared errors, each with half its 95 % interval. Seconds
are those of machines that did other things as well. Sine curves have ``CURVES`` steps of 25. LSLR diverged at
step 2901, and has gradients clipped at 1. iMAML, whose gradient does not see the steps on a support set, left
those diverge at step 7045, and has ``SHORTER`` steps; clipping and a pull of 2 brought that forward.
``at length`` trains MAML on them for 30,000 steps, four minutes of a processor: 0.39 +- 0.04 after one
step from 10 points, where the paper of Meta-SGD has 0.85 +- 0.14 for it.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import mse_loss

import headstart as hs
from headstart import meta
from headstart.maths.random import generator
from headstart.tasks import Episodes, Labelled, Multiclass, Regression, Task, draw_episodes

STEPS, CURVES, LENGTH, TESTED = 60, 10_000, 30_000, 60
CLIPPED = ("LSLR, 5 steps + MultiStep",)
SHORTER = {"iMAML": 5000}
HERE = Path(__file__).parent


def trained(net, objective, stream, steps, lr, clip=None):
    """Meta-train, and say how many seconds it took."""
    torch.manual_seed(0)
    start = time.perf_counter()
    optimizer = torch.optim.Adam([*net.parameters(), *objective_parameters(objective)], lr=lr)
    hs.fit(net, stream, objective, steps=steps, optimizer=optimizer, clip=clip, progress=False)
    return time.perf_counter() - start


def objective_parameters(objective):
    return objective.parameters() if isinstance(objective, nn.Module) else []


def characters():
    """Name each method for Omniglot: how it adapts, and what it is trained by; ``None`` is ``Episodic``."""
    few = {"lr": 0.4, "steps": 1}
    return {
        "MAML": (lambda net, d: meta.MAML("t", **few), None),
        "MAML, first order": (lambda net, d: meta.MAML("t", **few, first_order=True), None),
        "ANIL": (lambda net, d: meta.ANIL("t", **few), None),
        "BOIL": (lambda net, d: meta.BOIL("t", **few), None),
        "MetaSGD": (lambda net, d: meta.MetaSGD(net, "t", **few), None),
        "LSLR + MultiStep": (lambda net, d: meta.LSLR(net, "t", lr=0.1, steps=3), meta.MultiStep),
        "iMAML": (lambda net, d: meta.iMAML("t", lr=0.2, steps=8, pull=2.0, solves=3), None),
        "Reptile": (lambda net, d: meta.MAML("t", lr=0.05, steps=8, first_order=True), meta.Reptile),
        "ProtoNet": (lambda net, d: meta.ProtoNet("t"), None),
        "CosineProtoNet": (lambda net, d: meta.CosineProtoNet("t"), None),
        "Matching": (lambda net, d: meta.Matching("t"), None),
        "Relation": (lambda net, d: meta.Relation("t", d), None),
        "Ridge": (lambda net, d: meta.Ridge("t"), None),
        "Logistic": (lambda net, d: meta.Logistic("t"), None),
        "Siamese + Contrastive": (lambda net, d: meta.Siamese("t"), lambda a: meta.Contrastive("t", 4.0)),
        "Siamese + Triplet": (lambda net, d: meta.Siamese("t"), lambda a: meta.Triplet("t", 0.5)),
    }  # fmt: skip


def omniglot(names):
    (train,), (test,) = hs.datasets.read("omniglot:train"), hs.datasets.read("omniglot:test")
    drawn = draw_episodes(test, TESTED, ways=5, shots=1, queries=5, seed=0)
    rows = {}
    for name, (adapt, objective) in characters().items():
        if names and name not in names:
            continue
        torch.manual_seed(0)
        trunk = hs.models.conv4(1, width=32, geometry="strided", norm="batch", size=28)
        net = hs.Net(trunk, {"t": nn.Linear(trunk.width, 5)})
        adaptation = adapt(net, trunk.width)
        stream = hs.episodes(
            train, ways=5, shots=1, queries=5, per_step=8, generator=generator(0, "few-shot")
        )
        seconds = trained(net, (objective or meta.Episodic)(adaptation), stream, STEPS, 1e-3)
        rows[name] = row({name: (net, adaptation)}, test, drawn, seconds)
        print(name, rows[name], flush=True)
    return rows


def baselines(names):
    """Train on all characters as one task, then adapt without any episode."""
    if names and "no episodes" not in names:
        return {}
    (train,), (test,) = hs.datasets.read("omniglot:train"), hs.datasets.read("omniglot:test")
    drawn = draw_episodes(test, TESTED, ways=5, shots=1, queries=5, seed=0)
    torch.manual_seed(0)
    trunk = hs.models.conv4(1, width=32, geometry="strided", norm="batch", size=28)
    net = hs.Net(trunk, {"t": nn.Linear(trunk.width, train.kind.outputs)})
    task = Task("t", Multiclass(train.kind.classes), train.train)
    stream = hs.batches([task], 128, generator=generator(0, "all characters"))
    seconds = trained(net, hs.Supervised(task), stream, 2 * STEPS, 1e-3)
    net.eval()
    with torch.no_grad():
        centre = net.features(train.train.x[::10]).mean(0)
    found = {}
    for name, adaptation in {
        "no episodes, BaselinePlusPlus": meta.BaselinePlusPlus("t"),
        "no episodes, SimpleShot": meta.SimpleShot("t", centre),
        "no episodes, ProtoNet": meta.ProtoNet("t"),
    }.items():
        found[name] = row({name: (net, adaptation)}, test, drawn, seconds)
        print(name, found[name], flush=True)
    return found


def row(method, task, drawn, seconds):
    scores = meta.evaluate_episodes(method, task, drawn, progress=False)
    (name,) = method
    found = {"seconds": round(seconds, 1)}
    for how in scores.scores[name]:
        low, high = scores.ci95(name, how)
        found[how] = [round(scores.mean(name, how), 4), round((high - low) / 2, 4)]
    return found


# Sine curves: amplitude 0.1 to 5, phase 0 to pi, points in [-5, 5], as in the paper of MAML.


def curves(count, points, g):
    size = 0.1 + 4.9 * torch.rand(count, 1, 1, generator=g)
    phase = math.pi * torch.rand(count, 1, 1, generator=g)
    x = 10 * torch.rand(count, points, 1, generator=g) - 5
    return x, size * torch.sin(x - phase)


def steps_of_curves():
    step = 0
    while True:
        x, y = curves(25, 20, generator(0, "sine", step))
        yield Episodes(Labelled(x[:, :10], y[:, :10]), Labelled(x[:, 10:], y[:, 10:]), 0)
        step += 1


def sines(names):
    methods = {
        "MAML": (lambda net: meta.MAML("t", lr=0.01, steps=1, loss=mse_loss), None),
        "MAML, first order": (
            lambda net: meta.MAML("t", lr=0.01, steps=1, first_order=True, loss=mse_loss), None
        ),
        "ANIL": (lambda net: meta.ANIL("t", lr=0.01, steps=1, loss=mse_loss), None),
        "BOIL": (lambda net: meta.BOIL("t", lr=0.01, steps=1, loss=mse_loss), None),
        "MetaSGD": (lambda net: meta.MetaSGD(net, "t", lr=0.01, loss=mse_loss), None),
        "LSLR, 5 steps + MultiStep": (
            lambda net: meta.LSLR(net, "t", lr=0.01, steps=5, loss=mse_loss),
            lambda a: meta.MultiStep(a, mse_loss),
        ),
        "iMAML": (lambda net: meta.iMAML("t", lr=0.01, steps=5, pull=0.5, solves=3, loss=mse_loss), None),
        "Reptile": (
            lambda net: meta.MAML("t", lr=0.02, steps=8, first_order=True, loss=mse_loss), meta.Reptile
        ),
        "Ridge": (lambda net: meta.Ridge("t"), None),
    }  # fmt: skip
    return {
        name: sine(name, adapt, objective, SHORTER.get(name, CURVES))
        for name, (adapt, objective) in methods.items()
        if not names or name in names
    }


def sine(name, adapt, objective, steps):
    """Meta-train on sine curves for so many steps, and judge by 600 episodes of 200 others."""
    x, y = curves(200, 60, generator(1, "sine"))
    tasks = [
        Task(f"sine {k}", Regression(), Labelled(a, b)) for k, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    drawn = draw_episodes(tasks, 600, shots=10, queries=50, seed=0)
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU())
    net = hs.Net(trunk, {"t": nn.Linear(40, 1)})
    adaptation = adapt(net)
    made = objective(adaptation) if objective else meta.Episodic(adaptation, mse_loss)
    seconds = trained(net, made, steps_of_curves(), steps, 1e-3, 1.0 if name in CLIPPED else None)
    found = row({name: (net, adaptation)}, tasks, drawn, seconds)
    print(name, steps, found, flush=True)
    return found


def at_length(names):
    """Train MAML on sine curves for 30 times as long, about half of the paper's 70,000 steps."""
    if names and "at length" not in names:
        return {}
    adapt = {"MAML": lambda net: meta.MAML("t", lr=0.01, steps=1, loss=mse_loss)}
    return {f"{name}, {LENGTH} steps": sine(name, make, None, LENGTH) for name, make in adapt.items()}


def main(names):
    """Run the methods that are named, or all, and write their rows among those that are there."""
    torch.set_num_threads(1)
    path = HERE / "figures.json"
    found = json.loads(path.read_text()) if path.is_file() else {"sine": {}, "omniglot": {}}
    for problem, part in (
        ("sine", sines), ("sine", at_length), ("omniglot", omniglot), ("omniglot", baselines)
    ):  # fmt: skip
        found[problem] |= part(names)
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
