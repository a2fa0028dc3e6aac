"""miniImageNet, 5 ways of 1 and 5 shots: ProtoNet, MAML and frozen features, on images of your own.

The images may not be passed on, so no figures stand beside this file. ``FOLDER`` holds them in one of the
layouts of the reader ``miniimagenet:``. ProtoNet is trained on 20 ways, as in its paper, MAML in first order
with five inner steps; both with Conv4 of 64 channels, in twenty parts, of which the one with the highest
accuracy on 200 validation episodes is kept. Then each answers the same 600 test episodes with 15 queries per
class. Beside them, with ``--photographs``, stands a net that was trained on photographs and saw no episode
(``headstart weights efficientnet_lite0``). It has seen photographs of the test classes: no fair rival. ::

    python benchmarks/quality/miniimagenet/run.py FOLDER [--steps 20000] [--photographs]

Published: ProtoNet 49.4 and 68.2, MAML 48.7 and 63.1. On one GPU allow some hours, on two cores days.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path

import torch
from torch import nn

import headstart as hs
from headstart import meta
from headstart.engine import Run
from headstart.maths.random import generator
from headstart.tasks import draw_episodes

HERE = Path(__file__).parent
RUNS = HERE.parents[2] / "runs" / "miniimagenet"
LOOKS, QUERIES, SIDE, TESTED = 20, 15, 84, 600


def a_net(ways: int) -> hs.Net:
    torch.manual_seed(0)
    trunk = hs.models.conv4(3, width=64, geometry="pooled", norm="batch", size=SIDE)
    return hs.Net(trunk, {"t": nn.Linear(trunk.width, ways)})


METHODS = {
    "ProtoNet": (meta.ProtoNet("t"), {"ways": 20, "queries": 15, "per_step": 1}),
    "MAML": (meta.MAML("t", lr=0.01, steps=5, first_order=True), {"ways": 5, "queries": 15, "per_step": 4}),
}


def trained(name, shots, parts, steps, judges, device):
    """Train in twenty parts, and keep the net that tells the validation classes apart best."""
    method, drawn = METHODS[name]
    net = a_net(drawn["ways"]).to(device)
    stream = hs.episodes(parts["train"], shots=shots, **drawn, generator=generator(0, name, shots))
    judged = draw_episodes(parts["valid"], judges, ways=5, shots=shots, queries=QUERIES, seed=1)
    optimizer, best, kept = torch.optim.Adam(net.parameters(), lr=1e-3), 0.0, None
    with Run.create(RUNS / f"{name}-{shots}", {"method": name, "shots": shots, "steps": steps}) as run:
        for look in range(LOOKS):
            hs.fit(
                net, stream, meta.Episodic(method), steps=steps // LOOKS, optimizer=optimizer, run=run,
                phase=f"part {look}",
            )  # fmt: skip
            found = scored(net, method, parts["valid"], judged)[0]
            if found > best:
                best, kept = found, copy.deepcopy(net)
    return kept


def scored(net, method, task, episodes):
    scores = meta.evaluate_episodes({"it": (net, method)}, task, episodes, progress=False)
    low, high = scores.ci95("it", "inductive")
    return round(100 * scores.mean("it", "inductive"), 2), round(50 * (high - low), 2)


def photographs(parts, shots, tested):
    """Ask a net that was trained on photographs, whose features stay."""
    net = hs.Net(hs.backbone("wheel:efficientnet_lite0"), {"t": nn.Linear(1280, 5)})
    episodes = draw_episodes(parts["test"], tested, ways=5, shots=shots, queries=QUERIES, seed=0)
    return scored(net, meta.Logistic("t"), parts["test"], episodes)


def main():
    asked = argparse.ArgumentParser()
    asked.add_argument("folder")
    asked.add_argument("--steps", type=int, default=20_000)
    asked.add_argument("--episodes", type=int, default=TESTED)
    asked.add_argument("--shots", type=int, nargs="*", default=[1, 5])
    asked.add_argument("--photographs", action="store_true")
    asked.add_argument("--figures", type=Path, default=HERE / "figures.json")
    told = asked.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parts = {
        part: hs.datasets.read(f"miniimagenet:{told.folder}#{part}", resize=SIDE)[0]
        for part in ("train", "valid", "test")
    }
    figures = {"steps": told.steps}
    for shots in told.shots:
        episodes = draw_episodes(parts["test"], told.episodes, ways=5, shots=shots, queries=QUERIES, seed=0)
        found = figures.setdefault(f"5 ways, {shots} shots", {})
        for name, (method, _) in METHODS.items():
            net = trained(name, shots, parts, told.steps, max(2, told.episodes // 3), device)
            found[name] = scored(net, method, parts["test"], episodes)
        if told.photographs:
            found["Lite0, no episodes"] = photographs(parts, shots, told.episodes)
        told.figures.write_text(json.dumps(figures, indent=1) + "\n")
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
