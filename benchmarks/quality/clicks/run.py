"""Clicks and conversions on a made log whose truth is known: what joint learning gains, and `EntireSpace`.

300 users and 200 items with hidden tastes; what is clicked and what converts depend on them in ways that go
together, so clicked rows are no fair sample. 60,000 impressions to learn from, 20,000 fresh ones to be asked
about, all of them, whose true chances are known. Three seeds of log and training; about five minutes of one
thread. The rates were chosen on none of these seeds. Results are written beside this file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import headstart as hs
from headstart.models import backbone
from headstart.multitask import PLE, EntireSpace, MMoE
from headstart.tasks import Binary, Labelled, Task

USERS, ITEMS, TASTES = 300, 200, 4
NAMES = ("click", "sale")
HERE = Path(__file__).parent


def log(rows, seed):
    """Draw impressions ``(rows, 2)`` and the true chances of a click, and of a sale once clicked."""
    world = np.random.default_rng(100 + seed)
    users, items = world.normal(size=(USERS, TASTES)), world.normal(size=(ITEMS, TASTES))
    worth, turn = world.normal(size=ITEMS), 0.6 * world.normal(size=(TASTES, TASTES))
    draw = np.random.default_rng((seed, rows))
    x = np.stack([draw.integers(USERS, size=rows), draw.integers(ITEMS, size=rows)], 1)
    u, i = users[x[:, 0]], items[x[:, 1]]
    likes = (u * i).sum(1)
    click = 1 / (1 + np.exp(-(0.8 * likes + worth[x[:, 1]] - 2.0)))
    sale = 1 / (1 + np.exp(-(0.5 * likes + ((u @ turn) * i).sum(1) - 0.5 * worth[x[:, 1]] - 1.0)))
    clicks, sales = draw.random(rows) < click, draw.random(rows) < sale
    return torch.from_numpy(x + 1).float(), click, sale, clicks, np.where(clicks, sales, np.nan)


def ids(hidden=(32,)):
    """Make a backbone for users and items."""
    settings = {"features": 2, "ids": {"0": USERS, "1": ITEMS}, "width": 8, "hidden": list(hidden)}
    return backbone("factors", settings=settings)


def single():
    return {name: hs.Net(ids(), {name: torch.nn.Linear(32, 1)}) for name in NAMES}


def joint(shared):
    return hs.Net(shared, {name: torch.nn.Linear(shared_width(shared, name), 1) for name in NAMES})


def shared_width(shared, name):
    return shared.width_for(name) if hasattr(shared, "width_for") and shared.width_for(name) else shared.width


def mmoe():
    return joint(MMoE([ids() for _ in range(3)], NAMES))


def ple():
    return joint(PLE([[ids()]], {name: [[ids()]] for name in NAMES}))


def train(net, objective, tasks, steps, seed):
    """Lower an objective on batches of 512 rows."""
    stream = hs.batches(tasks, 512, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, total_steps=steps + 1, cycle_momentum=False
    )
    hs.fit(net, stream, objective, steps=steps, optimizer=optimizer, scheduler=schedule, progress=False)
    return net.eval()


@torch.no_grad()
def chance(net, x, name):
    return torch.cat([net(some, name).sigmoid().flatten() for some in x.split(4096)]).numpy()


def ways(x, clicks, sales, fresh, steps, seed):
    """Give, by name of a way, its chances of a click and of a sale once clicked for fresh rows."""
    y = torch.from_numpy(clicks).float()
    sold = torch.from_numpy(sales).float()
    table = [Task("click", Binary(), Labelled(x, y)), Task("sale", Binary(), Labelled(x, sold))]
    bought = Task("sale", Binary(), Labelled(x, sold.nan_to_num(0.0)))
    torch.manual_seed(seed)
    alone = single()
    for task in table:
        train(alone[task.name], hs.Supervised(task), [task], steps, seed)
    found = {"each task alone": tuple(chance(alone[n], fresh, n) for n in NAMES)}
    for way, make in {"hard": lambda: joint(ids()), "mmoe": mmoe, "ple": ple}.items():
        net = train(make(), hs.Supervised(*table), table, steps, seed)
        found[way] = tuple(chance(net, fresh, n) for n in NAMES)
    for way, make in {"hard, entire space": lambda: joint(ids()), "mmoe, entire space": mmoe}.items():
        net = train(make(), EntireSpace(*NAMES), [table[0], bought], steps, seed)
        found[way] = tuple(chance(net, fresh, n) for n in NAMES)
    found["boosted trees"] = trees(x.numpy(), clicks, sales, fresh.numpy())
    shares = [np.nanmean(part.astype(float)) for part in (clicks, sales)]
    found["constant"] = tuple(np.full(len(fresh), share) for share in shares)
    return found


def trees(x, clicks, sales, fresh):
    """Boost trees for each task on the means of user and item among the rows that it knows."""
    found = []
    for y in (clicks.astype(float), sales):
        known = ~np.isnan(y)
        z, new = means(x[known], y[known], x[known], own=True), means(x[known], y[known], fresh, own=False)
        found.append(
            HistGradientBoostingClassifier(max_leaf_nodes=8).fit(z, y[known]).predict_proba(new)[:, 1]
        )
    return tuple(found)


def means(x, y, asked, *, own):
    """Give each row's user, item, and their damped means; without the row itself where it is among them."""
    columns = [asked]
    for k, count in enumerate((USERS, ITEMS)):
        at = x[:, k].astype(int)
        rows, total = np.bincount(at, minlength=count + 1), np.bincount(at, y, minlength=count + 1)
        place = asked[:, k].astype(int)
        left = (y, 1.0) if own else (0.0, 0.0)
        columns.append(((total[place] - left[0] + 10 * y.mean()) / (rows[place] - left[1] + 10))[:, None])
    return np.concatenate(columns, 1)


def judged(found, click, sale):
    """Score chances of all fresh rows against the true ones."""
    draw = np.random.default_rng(0)
    bought = draw.random(len(click)) < click * sale
    return {
        way: {
            "auroc of sales": round(float(roc_auc_score(bought, p * q)), 4),
            "error of the chance of a sale once clicked": round(float(np.abs(q - sale).mean()), 4),
            "error of the chance of a click": round(float(np.abs(p - click).mean()), 4),
        }
        for way, (p, q) in found.items()
    }


def main(rows=60_000, asked=20_000, steps=1500, seeds=(0, 1, 2), out=HERE / "figures.json"):
    start, scores = time.perf_counter(), []
    for seed in seeds:
        x, _, _, clicks, sales = log(rows, seed)
        fresh, click, sale, _, _ = log(asked, seed)
        scores.append(judged(ways(x, clicks, sales, fresh, steps, seed), click, sale))
    figures = {
        way: {name: [one[way][name] for one in scores] for name in scores[0][way]} for way in scores[0]
    }
    about = {
        "rows": rows,
        "steps": steps,
        "seeds": list(seeds),
        "seconds": round(time.perf_counter() - start),
    }
    out.write_text(json.dumps({"about": about, "figures": figures}, indent=1) + "\n")
    return figures


if __name__ == "__main__":
    if sys.argv[1:] == ["--short"]:
        print(json.dumps(main(2000, 500, 5, (0,), Path("/dev/null")), indent=1))
    else:
        main()
