"""Does a net that met five classes help with five others? Pixels and columns as they are, beside it.

scikit-learn's digits: nets learn on 0 to 4, and 100 episodes of 5 ways ask for 5 to 9, 1 and 5 rows of each
and 5 queries. ``images`` is the net of docs/few-shot.md (``conv4``, 60 steps of ``ProtoNet``), ``table`` the
same digits as 64 columns of which a tenth is missing, and a perceptron that learned by 300 steps. Beside them
the nearest mean and logistic regression on the rows themselves, by the same code with no net; those of the
table are scaled as the known classes' are, as the net's are. Nothing was chosen by these figures.

    python benchmarks/quality/few_shot/helped.py
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from torch import nn

import headstart as hs
from headstart import meta
from headstart.tasks import draw_episodes

FILE = Path(__file__).with_name("helped.json")


def images():
    (known,), (new,) = hs.datasets.read("digits:0-4"), hs.datasets.read("digits:5-9")
    torch.manual_seed(0)
    trunk = hs.backbone("conv4", inputs=(1, 8, 8), settings={"width": 32, "halvings": 1})
    return known, new, trunk, {"per_step": 4}, 60


def table():
    digits, draw = load_digits(), np.random.default_rng(0)
    frame = pd.DataFrame(digits.data, columns=[f"p{i}" for i in range(64)])
    frame = frame.mask(draw.random(frame.shape) < 0.1).assign(digit=[f"d{y}" for y in digits.target])
    (known,) = hs.datasets.from_frame(frame[digits.target < 5], label="digit")
    (new,) = hs.datasets.from_frame(frame[digits.target >= 5], label="digit", like=known.encoding)
    torch.manual_seed(0)
    return known, new, hs.backbone("mlp", inputs=known.train.x.shape[1:]), {"per_step": 8}, 300


def main():
    found = {}
    for name, make in {"images": images, "table": table}.items():
        known, new, trunk, size, steps = make()
        net = hs.Net(trunk, {known.name: nn.Linear(trunk.width, 5)})
        g = torch.Generator().manual_seed(0)
        stream = hs.episodes(known, ways=5, shots=5, queries=5, generator=g, **size)
        adam = torch.optim.Adam(net.parameters(), lr=1e-3)
        learn = meta.Episodic(meta.ProtoNet(known.name))
        hs.fit(net, stream, learn, steps=steps, optimizer=adam, progress=False)
        nets = {
            "net": hs.Net(net.backbone, {"t": nn.Linear(trunk.width, 5)}),
            "rows as they are": hs.Net(nn.Flatten(), {"t": nn.Linear(new.train.x[0].numel(), 5)}),
        }
        ways = {"ProtoNet": meta.ProtoNet("t"), "Logistic": meta.Logistic("t")}
        for shots in (1, 5):
            drawn = draw_episodes(new, 100, ways=5, shots=shots, queries=5, seed=0)
            methods = {f"{n}, {w}": (nets[n], ways[w]) for n in nets for w in ways}
            scores = meta.evaluate_episodes(methods, new, drawn, progress=False)
            found[f"{name}, {shots} shots"] = {
                n: [round(100 * v, 1) for v in (scores.mean(n, "inductive"), *scores.ci95(n, "inductive"))]
                for n in methods
            }
            print(name, shots, found[f"{name}, {shots} shots"], flush=True)
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    main()
