"""Two digits on one image, one above left and one below right (MultiMNIST, made from MNIST).

As Sener & Koltun (2018) make it: two digits on 36 x 36 pixels, the brighter of both where they overlap,
shrunk to 28 x 28; 20,000 images of the train digits and 10,000 of the test digits, drawn by a fixed seed. A
small convolutional net, and a head for each place. One net for each digit beside one for both, by the sum
of the losses and by ``pcgrad``; three seeds, four passes, a rate of 3e-3 for all (chosen on no test image).
::

    python benchmarks/quality/multimnist/run.py

Goes on with what is not in ``figures.json`` beside this file. Needs ``HEADSTART_DATA``; six minutes of a
thread.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import t
from torch import Tensor, nn

import headstart as hs
from headstart.atomic import write_atomic
from headstart.multitask import backward, pcgrad
from headstart.tasks import Labelled, Multiclass, Task

FILE = Path(__file__).with_name("figures.json")
SEEDS, PASSES, BATCH, RATE = range(3), 4, 256, 3e-3
NAMES = ("left", "right")
COMBINE = {"sum": hs.engine.total, "pcgrad": backward(pcgrad)}


def images(part: str, many: int, seed: int) -> tuple[Tensor, Tensor]:
    """Lay pairs of digits over each other: ``(N, 1, 28, 28)`` and both labels ``(N, 2)``."""
    rows = getattr(hs.datasets.read("mnist")[0], part)
    draw = np.random.default_rng(seed)
    pairs = torch.from_numpy(draw.integers(len(rows.y), size=(many, 2)))
    found = torch.empty(many, 1, 28, 28)
    digits = rows.x.reshape(-1, 1, 28, 28)
    for at in torch.arange(many).split(5000):
        left, right = (digits[pairs[at, k]].float() for k in (0, 1))
        both = torch.maximum(F.pad(left, (0, 8, 0, 8)), F.pad(right, (8, 0, 8, 0)))
        found[at] = F.interpolate(both, size=28, mode="bilinear", antialias=True)
    return found / found.max(), rows.y[pairs]


def encoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(),
    )  # fmt: skip


def once(tasks: list[Task], combine, seed: int) -> dict[str, float]:
    """Train one net, and give the accuracy of each task in per cent."""
    torch.manual_seed(seed)
    net = hs.Net(encoder(), {task.name: nn.Linear(64, 10) for task in tasks})
    steps = PASSES * len(tasks[0].train.y) // BATCH
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, fused=True)
    hs.fit(
        net,
        hs.batches(tasks, BATCH, generator=torch.Generator().manual_seed(seed)),
        hs.Supervised(*tasks),
        steps=steps,
        optimizer=optimizer,
        combine=combine,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(
            optimizer, RATE, total_steps=steps + 1, cycle_momentum=False
        ),
        progress=False,
    )
    net.eval()
    with torch.no_grad():
        return {
            t.name: 100
            * float(
                torch.cat([net(x, t.name).argmax(1) for x in t.test.x.split(1000)])
                .eq(t.test.y)
                .double()
                .mean()
            )
            for t in tasks
        }


def summary(scores: list[float]) -> dict[str, float]:
    half = (
        t.ppf(0.975, len(scores) - 1) * np.std(scores, ddof=1) / np.sqrt(len(scores))
        if len(scores) > 1
        else 0.0
    )
    return {"mean": round(float(np.mean(scores)), 2), "half over seeds": round(float(half), 2)}


def main() -> None:
    torch.set_num_threads(1)
    done = json.loads(FILE.read_text()) if FILE.exists() else {}
    (x, y), (fresh, asked) = images("train", 20_000, 1), images("test", 10_000, 2)
    tasks = [
        Task(name, Multiclass(10), Labelled(x, y[:, k], complete=True), test=Labelled(fresh, asked[:, k]))
        for k, name in enumerate(NAMES)
    ]
    for seed in SEEDS:
        for way in ("single", *COMBINE):
            here = done.setdefault(way, {"seeds": {}})["seeds"]
            if str(seed) in here:
                continue
            began = time.process_time()
            if way == "single":
                told = once(tasks[:1], COMBINE["sum"], seed) | once(tasks[1:], COMBINE["sum"], seed)
            else:
                told = once(tasks, COMBINE[way], seed)
            here[str(seed)] = {key: round(value, 2) for key, value in told.items()}
            here[str(seed)]["seconds"] = round(time.process_time() - began)
            done[way] |= {name: summary([one[name] for one in here.values()]) for name in NAMES}
            write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
            print(way, seed, here[str(seed)], flush=True)


if __name__ == "__main__":
    main()
