"""Toxicity and side effects of molecules (Tox21, SIDER): many assays with gaps, each alone or all in one net.

Rows are fingerprints of 1024 bits; train, valid and test are those of the scaffold split. Labels are
MoleculeNet's, which differ from those of the Tox21 challenge. Scored by the mean over assays of the area
under the curve (AUROC). The size of the step and the number of passes are chosen on the valid part with one
seed, for every way; three seeds then learn from the train part. A gain of an assay is over a net of its
own, with an interval of 95 % over draws of the test rows (the mean of the seeds); below 0 as a whole, the
assay is *harmed*. ::

    python benchmarks/quality/assays/run.py

Goes on with what is not in ``figures.json`` beside this file. Needs ``HEADSTART_DATA``; ten minutes of a
thread.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

import headstart as hs
from headstart.atomic import write_atomic
from headstart.models.sharing import MMoE
from headstart.tasks import Task

FILE = Path(__file__).with_name("figures.json")
SETS = ("tox21", "sider")
SEEDS, DRAWS = range(3), 200
SETTINGS = ((1e-3, 4), (1e-3, 12), (3e-3, 4))  # rate, passes over the rows
CS = (0.01, 0.1, 1.0)
BATCH, WIDTH, BITS = 128, 128, 1024


def encoder() -> nn.Module:
    return nn.Sequential(nn.Dropout(0.25), nn.Linear(BITS, WIDTH), nn.ReLU(), nn.Dropout(0.5))


def backbone(way: str, names: list[str]) -> nn.Module:
    one = torch.zeros(1, BITS)
    if way == "mmoe":
        return MMoE([encoder() for _ in range(4)], names, x=one)
    return encoder()


def train(tasks: list[Task], fresh: Tensor, way: str, seed: int, rate: float, passes: int) -> np.ndarray:
    """Train the net or nets of a way, and give the logits of fresh rows, a column for each assay."""
    torch.manual_seed(seed)
    found = []
    for group in [[task] for task in tasks] if way == "single" else [tasks]:
        names = [task.name for task in group]
        made = backbone(way, names)
        width = getattr(made, "width", WIDTH)
        net = hs.Net(made, {name: nn.Linear(width, 1) for name in names})
        steps = passes * max(1, len(group[0].train.y) // BATCH)
        optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-2, fused=True)
        hs.fit(
            net,
            hs.batches(group, BATCH, generator=torch.Generator().manual_seed(seed)),
            hs.Supervised(*group),
            steps=steps,
            optimizer=optimizer,
            scheduler=torch.optim.lr_scheduler.OneCycleLR(
                optimizer, rate, total_steps=steps + 1, cycle_momentum=False
            ),
            progress=False,
        )
        net.eval()
        with torch.no_grad():
            found += [net(fresh, name).flatten().numpy() for name in names]
    return np.stack(found, 1)


def logistic(tasks: list[Task], fresh: Tensor, _: str, seed: int, c: float) -> np.ndarray:
    found = []
    for task in tasks:
        there = task.train.present()
        model = LogisticRegression(C=c, max_iter=2000).fit(
            task.train.x[there].numpy(), task.train.y[there].numpy()
        )
        found.append(model.decision_function(fresh.numpy()))
    return np.stack(found, 1)


def area(answers: np.ndarray, y: np.ndarray) -> float:
    """Tell the area under the curve of one assay's known rows; NaN where there are no two classes."""
    yes = y > 0.5
    many = int(yes.sum())
    if not 0 < many < len(y):
        return np.nan
    return float((rankdata(answers)[yes].sum() - many * (many + 1) / 2) / (many * (len(y) - many)))


def areas(answers: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Tell the area of each assay, ``(K,)``."""
    known = ~np.isnan(y)
    return np.array([area(answers[at, k], y[at, k]) for k, at in enumerate(known.T)])


def gains(one: np.ndarray, base: np.ndarray, y: np.ndarray) -> dict[str, list]:
    """Give the gain of each assay and of their mean, by draws of the test rows, of answers ``(S, B, K)``."""
    draw, found = np.random.default_rng(0), []
    for k in range(DRAWS):
        rows = draw.integers(len(y), size=len(y)) if k else np.arange(len(y))
        seeds = [areas(a[rows], y[rows]) - areas(b[rows], y[rows]) for a, b in zip(one, base, strict=True)]
        found.append(np.mean(seeds, 0))
    table = np.array(found)
    low, high = np.nanpercentile(table[1:], [2.5, 97.5], axis=0)
    mean = np.nanpercentile(np.nanmean(table[1:], 1), [2.5, 97.5])
    return {
        "gain": round(float(np.nanmean(table[0])), 4),
        "ci95": [round(float(v), 4) for v in mean],
        "gains": [round(float(v), 3) for v in table[0]],
        "harmed": [int(k) for k in np.flatnonzero(high < 0)],
        "helped": [int(k) for k in np.flatnonzero(low > 0)],
    }


NETS = ("single", "hard", "mmoe")
WAYS = {"logistic": (logistic, tuple((c,) for c in CS))} | {name: (train, SETTINGS) for name in NETS}


def main() -> None:
    torch.set_num_threads(1)
    done = json.loads(FILE.read_text()) if FILE.exists() else {}
    for data in SETS:
        tasks = hs.datasets.read(data)
        names = [task.name for task in tasks]
        x = {part: getattr(tasks[0], part).x for part in ("valid", "test")}
        y = {part: np.stack([getattr(t, part).y.numpy() for t in tasks], 1) for part in ("valid", "test")}
        here = done.setdefault(data, {"assays": names, "ways": {}})["ways"]
        base = None
        for name, (way, settings) in WAYS.items():
            if name in here and (name != "single" or all(n in here for n in WAYS)):
                continue
            began = time.process_time()
            tried = {s: np.nanmean(areas(way(tasks, x["valid"], name, 0, *s), y["valid"])) for s in settings}
            best = max(tried, key=tried.__getitem__)
            seeds = SEEDS if way is train else SEEDS[:1]
            found = np.stack([way(tasks, x["test"], name, seed, *best) for seed in seeds])
            each = np.array([areas(one, y["test"]) for one in found])
            base = found if name == "single" else base
            here[name] = {
                "settings": best,
                "mean": round(float(np.nanmean(each)), 4),
                "seeds": [round(float(v), 4) for v in np.nanmean(each, 1)],
                "assays": [round(float(v), 3) for v in each.mean(0)],
            }
            if base is not None and name != "single":
                here[name]["over single"] = gains(found, base, y["test"])
            here[name]["seconds"] = round(time.process_time() - began)
            write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
            print(data, name, {k: v for k, v in here[name].items() if k != "assays"}, flush=True)


if __name__ == "__main__":
    main()
