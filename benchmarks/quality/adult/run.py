"""Income and never married: two questions about the same people of the census (Adult).

32,561 rows to learn from and the 16,281 of the test file, scored by the area under the curve (AUROC). What
both ask for is left out of the columns. Nets of one size and one training beside boosted trees: each
question alone, one encoder for both, and patterns between. The number of passes (or of trees) is chosen for
every way on a fifth of the train rows, with one seed; then three seeds learn from all of them. Nets are
told numbers twice: as they are, and piece by piece (Gorishniy et al. 2022). ::

    python benchmarks/quality/adult/run.py

Goes on with what is not in ``figures.json`` beside this file. Needs ``HEADSTART_DATA``; some four minutes
of a thread.
"""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

import headstart as hs
from headstart.atomic import write_atomic
from headstart.models import mlp
from headstart.models.sharing import PLE, MMoE
from headstart.tasks import Binary, Labelled, Task

FILE = Path(__file__).with_name("figures.json")
NAMES = ("income", "never-married")
SEEDS, RATES, PASSES = range(3), (3e-3,), (8, 16)
BATCH, HIDDEN, PIECES = 256, (64, 32), 32


def read() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read train and test rows and both answers; of numbers also how far they reach into each piece."""
    income, married = hs.datasets.read("adult")
    x, fresh = income.train.x, income.test.x
    edges = {k: x[:, k].quantile(torch.linspace(0, 1, PIECES + 1)).unique() for k in range(x.shape[1])}
    edges |= {k: x[:, k].unique() for k in range(x.shape[1]) if len(edges[k]) < PIECES // 4}
    pieces = {k: at[:: max(1, len(at) // PIECES)] for k, at in edges.items() if len(at) > 2}

    def told(rows: Tensor) -> Tensor:
        more = [((rows[:, [k]] - at[:-1]) / (at[1:] - at[:-1])).clamp(0, 1) for k, at in pieces.items()]
        return torch.cat([rows, *more], 1)

    y, asked = (torch.stack([one, other], 1) for one, other in (
        (income.train.y, married.train.y), (income.test.y, married.test.y)))  # fmt: skip
    return told(x), y, told(fresh), asked


def encoder(width: int) -> nn.Module:
    return mlp(width, hidden=list(HIDDEN))


def backbone(way: str, width: int) -> nn.Module:
    """Make the backbone of a way of sharing."""
    one = torch.zeros(1, width)
    if way == "mmoe":
        return MMoE([encoder(width) for _ in range(3)], NAMES)
    if way == "ple":
        return PLE(levels(width), {name: levels(width) for name in NAMES}, x=one)
    return encoder(width)


def levels(width: int) -> list[list[nn.Module]]:
    """Make an expert for each of two levels."""
    return [[mlp(width, hidden=[HIDDEN[0]])], [mlp(HIDDEN[0], hidden=[HIDDEN[1]])]]


def train(x: Tensor, y: Tensor, fresh: Tensor, way: str, seed: int, rate: float, passes: int) -> Tensor:
    """Train the net or nets of a way, and give the logits of fresh rows."""
    torch.manual_seed(seed)
    whole = [Task(name, Binary(), Labelled(x, y[:, k])) for k, name in enumerate(NAMES)]
    found = []
    for tasks in [[task] for task in whole] if way == "single" else [whole]:
        made = backbone(way, x.shape[1])
        net = hs.Net(made, {task.name: nn.Linear(HIDDEN[1], 1) for task in tasks})
        steps = passes * len(x) // BATCH
        optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-2, fused=True)
        hs.fit(
            net,
            hs.batches(tasks, BATCH, generator=torch.Generator().manual_seed(seed)),
            hs.Supervised(*tasks),
            steps=steps,
            optimizer=optimizer,
            scheduler=torch.optim.lr_scheduler.OneCycleLR(
                optimizer, rate, total_steps=steps + 1, cycle_momentum=False
            ),
            progress=False,
        )
        net.eval()
        with torch.no_grad():
            found += [net(fresh, task.name).flatten() for task in tasks]
    return torch.stack(found, 1)


def trees(x: Tensor, y: Tensor, fresh: Tensor, way: str, seed: int, rate: float, passes: int) -> Tensor:
    model = HistGradientBoostingClassifier(learning_rate=rate, max_iter=passes, random_state=seed)
    told = [model.fit(x.numpy(), y[:, k].numpy()).predict_proba(fresh.numpy())[:, 1] for k in range(2)]
    return torch.from_numpy(np.stack(told, 1))


def scored(answers: Tensor, y: Tensor) -> list[float]:
    return [float(roc_auc_score(y[:, k], answers[:, k])) for k in range(len(NAMES))]


NETS = ("single", "hard", "mmoe", "ple")
WAYS = {"boosted trees": (trees, (0.1,), (100, 200))} | {n: (train, RATES, PASSES) for n in NETS}


def interval(values: list[float], asked: int, share: float) -> dict[str, float]:
    """Give the mean and half of a 95 % interval over seeds and test rows (Hanley & McNeil 1982)."""
    a = float(np.mean(values))
    yes, no = asked * share, asked * (1 - share)
    rows = a * (1 - a) + (yes - 1) * (a / (2 - a) - a * a) + (no - 1) * (2 * a * a / (1 + a) - a * a)
    over = rows / (yes * no) + np.var(values, ddof=1) / len(values)
    return {"mean": round(a, 4), "half": round(float(1.96 * np.sqrt(over)), 4)}


def gains(one: list[float], base: list[float]) -> dict[str, float]:
    """Give the mean gain over another way and half of its 95 % interval, by Student's t over the seeds."""
    apart = np.subtract(one, base)
    half = t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart))
    return {"mean": round(float(apart.mean()), 4), "half": round(float(half), 4)}


def main() -> None:
    torch.set_num_threads(1)
    x, y, fresh, asked = read()
    held = torch.rand(len(x), generator=torch.Generator().manual_seed(0)) < 0.2
    done = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name, (way, rates, passes) in WAYS.items():
        if name in done:
            continue
        began = time.process_time()
        tried = {
            key: float(np.mean(scored(way(x[~held], y[~held], x[held], name, 0, *key), y[held])))
            for key in itertools.product(rates, passes)
        }
        rate, many = max(tried, key=tried.__getitem__)
        seeds = [scored(way(x, y, fresh, name, seed, rate, many), asked) for seed in SEEDS]
        done[name] = {"rate": rate, "passes": many, "seeds": seeds}
        done[name] |= {n: interval([one[k] for one in seeds], len(asked), float(asked[:, k].mean()))
                       for k, n in enumerate(NAMES)}  # fmt: skip
        if "single" in done:
            base = done["single"]["seeds"]
            done[name]["over single"] = {
                n: gains([one[k] for one in seeds], [one[k] for one in base]) for k, n in enumerate(NAMES)
            }
        done[name]["seconds"] = round(time.process_time() - began)
        write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
        print(name, {key: value for key, value in done[name].items() if key != "seeds"}, flush=True)


if __name__ == "__main__":
    main()
