"""Exam scores in 139 London schools: a model for each school, one for all, and those that are held together.

Five random divisions, three quarters of each school's pupils to learn from. Every price is chosen on a
quarter of those rows, then all of them are learned from. Scored by the explained variance of all test rows,
in per cent. ``each``, ``pooled``, ``pooled, school`` and ``to the mean`` are solved in closed form;
``soft`` are ``Soft`` around an encoder for each school, trained by ``fit`` on all rows at each step. ::

    python benchmarks/quality/school/run.py

Goes on with what is not in ``figures.json`` beside this file. Needs ``HEADSTART_DATA``; some five minutes
of one thread.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import nn

import headstart as hs
from headstart.atomic import write_atomic
from headstart.models.sharing import Soft
from headstart.multitask import Weights, beside, weighted
from headstart.tasks import Labelled, Regression, Task

FILE = Path(__file__).with_name("figures.json")
SPLITS = range(5)
CONSTANT = (1.0, 4.0)  # what stands in the column of the intercept: the more, the cheaper a school's own


def read(seed: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Read features, scores and the number of the school, of train and of test rows."""
    tasks = hs.datasets.read("school", split=hs.datasets.SplitSpec(test=0.25, seed=seed))
    found = []
    for part in ("train", "test"):
        rows = [getattr(task, part) for task in tasks]
        schools = np.repeat(np.arange(len(tasks)), [len(one.y) for one in rows])
        found.append(
            (torch.cat([r.x for r in rows]).double().numpy(), torch.cat([r.y for r in rows]).numpy(), schools)
        )
    return found[0], found[1]


def scaled(train: np.ndarray, test: np.ndarray, constant: float) -> tuple[np.ndarray, np.ndarray]:
    """Scale columns by the train rows; those that do not vary give way to a constant."""
    middle, spread = train.mean(0), train.std(0)
    vary = spread > 1e-6
    return tuple(
        np.c_[((x - middle) / np.where(vary, spread, 1))[:, vary], np.full(len(x), constant)]
        for x in (train, test)
    )  # type: ignore[return-value]


def explained(answers: np.ndarray, y: np.ndarray) -> float:
    return 100 * float(1 - np.square(answers - y).mean() / y.var())


# Ways: from train rows, their schools and settings to answers for fresh rows, on scaled scores.


def ridge(x: np.ndarray, y: np.ndarray, price: float) -> np.ndarray:
    free = np.full(x.shape[1], price)
    free[-1] = 1e-6
    return np.linalg.solve(x.T @ x + np.diag(free), x.T @ y)


def each(x, y, of, fresh, asked, price, constant):
    w = np.stack([ridge(x[of == k], y[of == k], price) for k in range(of.max() + 1)])
    return (fresh * w[asked]).sum(1)


def pooled(x, y, of, fresh, asked, price, constant):
    return fresh @ ridge(x, y, price)


def pooled_school(x, y, of, fresh, asked, price, constant):
    one = np.eye(of.max() + 1)
    return np.c_[one[asked], fresh] @ ridge(np.c_[one[of], x], y, price)


def to_the_mean(x, y, of, fresh, asked, price, constant):
    """Lower the squares and ``price`` times the squared distances to weights that all schools share."""
    inner, left, right = [], np.zeros((x.shape[1],) * 2), np.zeros(x.shape[1])
    for k in range(of.max() + 1):
        gram, to = x[of == k].T @ x[of == k], x[of == k].T @ y[of == k]
        inverse = np.linalg.inv(gram + price * np.eye(len(gram)))
        left, right = left + gram - gram @ inverse @ gram, right + to - gram @ inverse @ to
        inner.append((inverse, gram, to))
    mean = np.linalg.lstsq(left, right, rcond=1e-9)[0]
    w = np.stack([mean + inverse @ (to - gram @ mean) for inverse, gram, to in inner])
    return (fresh * w[asked]).sum(1)


def boosted(x, y, of, fresh, asked, price, constant):
    trees = HistGradientBoostingRegressor(max_leaf_nodes=int(price), learning_rate=0.05, max_iter=150)
    return trees.fit(np.c_[x, of], y).predict(np.c_[fresh, asked])


def soft(tie: str, hidden: int) -> Callable[..., np.ndarray]:
    """Hold linear encoders together, or, with ``hidden``, nets of one layer."""

    def way(x, y, of, fresh, asked, price, constant):
        torch.manual_seed(0)
        x, y, fresh = (torch.from_numpy(v).float() for v in (x, y, fresh))
        names = [f"school_{k}" for k in range(of.max() + 1)]
        start = encoder(x.shape[1], hidden)
        encoders = {name: encoder(x.shape[1], hidden) for name in names}
        for one in encoders.values():
            one.load_state_dict(start.state_dict())
        net = hs.Net(Soft(encoders, tie=tie, weight=price, x=x[:1]), {name: nn.Identity() for name in names})
        rows = {name: Labelled(x[of == k], y[of == k], complete=True) for k, name in enumerate(names)}
        tasks = [Task(name, Regression(), rows[name]) for name in names]
        counts = Weights({name: len(some.y) / len(y) for name, some in rows.items()})
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
        hs.fit(
            net,
            itertools.repeat(rows),
            hs.Supervised(*tasks),
            steps=STEPS,
            optimizer=optimizer,
            scheduler=torch.optim.lr_scheduler.OneCycleLR(
                optimizer, RATE, total_steps=STEPS + 1, cycle_momentum=False
            ),
            combine=beside(weighted(counts)),
            progress=False,
        )
        answers = np.empty(len(fresh))
        with torch.no_grad():
            for k, name in enumerate(names):
                answers[asked == k] = net(fresh[asked == k], name).flatten().numpy()
        return answers

    return way


STEPS, RATE = 100, 0.03


def encoder(width: int, hidden: int) -> nn.Module:
    if not hidden:
        return nn.Linear(width, 1, bias=False)
    return nn.Sequential(nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, 1, bias=False))


RIDGE = (1.0, 10.0, 30.0, 100.0, 300.0)
WAYS = {  # a way, its prices, and constants
    "each": (each, RIDGE, CONSTANT[:1]),
    "pooled": (pooled, RIDGE, CONSTANT[:1]),
    "pooled, school": (pooled_school, RIDGE, CONSTANT[:1]),
    "boosted trees": (boosted, (8.0, 16.0, 31.0), CONSTANT[:1]),
    "to the mean": (to_the_mean, (30.0, 100.0, 300.0, 1000.0), CONSTANT),
    "soft, mean": (soft("mean", 0), (0.008, 0.025, 0.08), CONSTANT[1:]),
    "soft, trace": (soft("trace", 0), (0.001, 0.004, 0.016), CONSTANT[1:]),
    "soft, mean, 16 hidden": (soft("mean", 16), (0.008, 0.025, 0.08), CONSTANT[1:]),
}


def once(name: str, seed: int) -> dict[str, object]:
    """Choose the settings of a way on a quarter of the train rows, and score it on the test rows."""
    way, prices, constants = WAYS[name]
    (x, y, of), (fresh, asked_y, asked) = read(seed)
    held = np.random.default_rng(seed).random(len(y)) < 0.25
    centre, spread = y.mean(), y.std()
    scores = {}
    for price, constant in itertools.product(prices, constants):
        inner, outer = scaled(x[~held], x[held], constant)
        told = way(inner, (y[~held] - centre) / spread, of[~held], outer, of[held], price, constant)
        scores[price, constant] = explained(centre + spread * told, y[held])
    price, constant = max(scores, key=scores.__getitem__)
    inner, outer = scaled(x, fresh, constant)
    told = way(inner, (y - centre) / spread, of, outer, asked, price, constant)
    return {
        "score": round(explained(centre + spread * told, asked_y), 2),
        "price": price,
        "constant": constant,
    }


def summary(scores: list[float]) -> dict[str, float]:
    """Give the mean and the half of its 95 % interval, by Student's t over the divisions."""
    half = float(t.ppf(0.975, len(scores) - 1) * np.std(scores, ddof=1) / np.sqrt(len(scores)))
    return {"mean": round(float(np.mean(scores)), 2), "half": round(half, 2)}


def main() -> None:
    torch.set_num_threads(1)
    done = json.loads(FILE.read_text()) if FILE.exists() else {"splits": {}, "means": {}, "over": {}}
    for name, seed in itertools.product(WAYS, SPLITS):
        here = done["splits"].setdefault(name, {})
        if str(seed) not in here:
            began = time.process_time()
            here[str(seed)] = once(name, seed) | {"seconds": round(time.process_time() - began, 1)}
            print(name, seed, here[str(seed)], flush=True)
        if len(here) == len(SPLITS):
            scores = [here[str(s)]["score"] for s in SPLITS]
            done["means"][name] = summary(scores)
            base = [done["splits"]["each"][str(s)]["score"] for s in SPLITS]
            done["over"][name] = summary([a - b for a, b in zip(scores, base, strict=True)])
        write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
    print(json.dumps(done["means"], indent=1))


if __name__ == "__main__":
    main()
