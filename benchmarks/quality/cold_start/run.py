"""New users and new items on a made log of ratings: what is known of them after 0, 1 and 5 ratings.

600 users and 300 items, each with eight numbers that say something of their hidden tastes and not all; 24
ratings of each user. A sixth of the users (then, of the items) is new: 0, 1 or 5 of their ratings are
known, and others are asked for. Scored by the root of the mean squared error in stars, whose noise alone
has 0.5; three seeds of log and training, one rate and 1200 steps of 256 rows for all, chosen on none of
these logs. ::

    python benchmarks/quality/cold_start/run.py

Writes ``figures.json`` beside this file; about three minutes of one thread.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import Tensor, nn

import headstart as hs
from headstart.models import backbone
from headstart.tasks import Labelled, Regression, Task

HERE = Path(__file__).parent
COUNTS, FEATURES, TASTES, EACH = (600, 300), 8, 4, 24
KNOWN, SIDES = (0, 1, 5), ("users", "items")


def log(seed: int) -> tuple[Tensor, Tensor]:
    """Draw rows ``(N, 2 + 2 F)`` (user, item, what is told of both) and ratings ``(N,)``."""
    draw = np.random.default_rng(100 + seed)
    told = [draw.normal(size=(count, FEATURES)) for count in COUNTS]
    tastes = [
        f @ draw.normal(size=(FEATURES, TASTES)) * 0.25 + 0.5 * draw.normal(size=(len(f), TASTES))
        for f in told
    ]
    worth = [0.2 * f @ draw.normal(size=FEATURES) * 0.5 + 0.4 * draw.normal(size=len(f)) for f in told]
    user = np.repeat(np.arange(COUNTS[0]), EACH)
    item = np.concatenate([draw.permutation(COUNTS[1])[:EACH] for _ in range(COUNTS[0])])
    stars = 3 + (tastes[0][user] * tastes[1][item]).sum(1) + worth[0][user] + worth[1][item]
    stars += 0.5 * draw.normal(size=len(stars))
    x = np.concatenate([np.stack([user, item], 1) + 1, told[0][user], told[1][item]], 1)
    return torch.from_numpy(x).float(), torch.from_numpy(stars).float()


def parted(x: Tensor, side: int, seed: int) -> tuple[Tensor, dict[int, Tensor], Tensor]:
    """Number the rows of those who are known, those given of new ones by how many, and those asked for."""
    draw = np.random.default_rng(seed)
    new = set((draw.permutation(COUNTS[side])[: COUNTS[side] // 6] + 1).tolist())
    who = x[:, side].long().tolist()
    place, seen = [], {one: 0 for one in new}
    for row in draw.permutation(len(x)).tolist():
        if who[row] in seen:
            place.append((row, seen[who[row]]))
            seen[who[row]] += 1
    given = {k: torch.tensor([row for row, at in place if at < k], dtype=torch.long) for k in KNOWN}
    asked = torch.tensor([row for row, at in place if at >= max(KNOWN)])
    warm = torch.tensor([row for row, one in enumerate(who) if one not in new])
    return warm, given, asked


def without(x: Tensor, *sides: int) -> Tensor:
    """Leave the numbers of users or items out: 0 is one that nothing is known of."""
    x = x.clone()
    for side in sides:
        x[:, side] = 0
    return x


def bare(x: Tensor) -> Tensor:
    """Leave out what is told of both."""
    x = x.clone()
    x[:, 2:] = 0
    return x


def train(x: Tensor, y: Tensor, steps: int, seed: int) -> hs.Net:
    """Train vectors and layers on ratings."""
    torch.manual_seed(seed)
    ids = {"0": COUNTS[0], "1": COUNTS[1]}
    settings = {"features": x.shape[1], "ids": ids, "width": 8, "hidden": [64, 32]}
    net = hs.Net(backbone("factors", settings=settings), {"stars": nn.Linear(32, 1)})
    task = Task("stars", Regression(), Labelled(x, y - 3))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, total_steps=steps + 1, cycle_momentum=False
    )
    stream = hs.batches([task], 256, generator=torch.Generator().manual_seed(seed))
    hs.fit(
        net, stream, hs.Supervised(task), steps=steps, optimizer=optimizer, scheduler=schedule, progress=False
    )
    return net.eval()


def told(net: hs.Net, x: Tensor) -> Tensor:
    with torch.no_grad():
        return net(x, "stars").flatten() + 3


def introduced(net: hs.Net, x: Tensor, y: Tensor, side: int, steps: int = 60) -> hs.Net:
    """Learn the vectors of new users or items from their few ratings, and nothing else of the net.

    They begin at 0, the vector of one that nothing is known of, and are pulled back there.
    """
    net = copy.deepcopy(net)
    table = net.backbone.vectors[side].weight
    new = x[:, side].long().unique()
    found = torch.zeros(len(new), table.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([found], lr=0.05)
    for _ in range(steps):
        whole = table.detach().index_put((new,), found)
        name = f"backbone.vectors.{side}.weight"
        answers = torch.func.functional_call(net, {name: whole}, (x, "stars")).flatten() + 3
        loss = (answers - y).square().sum() + PULL * found.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        table[new] = found
    return net


PULL = 15.0  # of a squared unit of a vector, in squared stars


def ways(x: Tensor, y: Tensor, side: int, seed: int, steps: int) -> dict[str, dict[int, float]]:
    """Score every way on what new users or items are asked, by how many of their ratings are known."""
    warm, given, asked = parted(x, side, seed)
    fresh, right = x[asked], y[asked]
    found: dict[str, dict[int, float]] = {}

    def note(way: str, many: int, answers: Tensor) -> None:
        found.setdefault(way, {})[many] = round(float((answers - right).square().mean().sqrt()), 3)

    rows = torch.cat([x[warm], without(x[warm], side), without(x[warm], 1 - side)])
    once = torch.cat([y[warm]] * 3)
    both = train(rows, once, steps, seed)
    content = train(without(x[warm], side), y[warm], steps, seed)
    for many, more in given.items():
        known, stars = torch.cat([x[warm], x[more]]), torch.cat([y[warm], y[more]])
        note("popularity", many, popularity(known, stars, fresh))
        note("boosted trees", many, trees(known, stars, fresh))
        note("what is told of them alone", many, told(content, without(fresh, side)))
        note("ids alone", many, told(train(bare(known), stars, steps, seed), cold(bare(fresh), side, many)))
        more_rows = torch.cat([rows, x[more]])
        net = both if not many else train(more_rows, torch.cat([once, y[more]]), steps, seed)
        note("ids and what is told, all at once", many, told(net, cold(fresh, side, many)))
        net = both if not many else introduced(both, x[more], y[more], side)
        note("ids and what is told, then the new vectors alone", many, told(net, cold(fresh, side, many)))
    return found


def cold(x: Tensor, side: int, many: int) -> Tensor:
    """Give new ones the number 0 where nothing is known of them."""
    return x if many else without(x, side)


def popularity(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
    """Add up the mean of all and how far user and item lie above it, pulled to 0 where ratings are few."""
    mean = y.mean()
    total = torch.full((len(asked),), float(mean))
    left = y - mean
    for side, count in enumerate(COUNTS):
        at = x[:, side].long()
        rows = torch.zeros(count + 1).index_add(0, at, torch.ones(len(at)))
        above = torch.zeros(count + 1).index_add(0, at, left) / (rows + 3)
        total, left = total + above[asked[:, side].long()], left - above[at]
    return total


def trees(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
    """Boost trees on what is told of both, over what popularity leaves."""
    model = HistGradientBoostingRegressor(max_leaf_nodes=16)
    model.fit(x[:, 2:].numpy(), (y - popularity(x, y, x)).numpy())
    return popularity(x, y, asked) + torch.from_numpy(model.predict(asked[:, 2:].numpy())).float()


def main(steps: int = 1200, seeds: tuple[int, ...] = (0, 1, 2), out: Path = HERE / "figures.json") -> dict:
    torch.set_num_threads(1)
    began = time.process_time()
    scores: dict[str, dict[str, dict[str, list[float]]]] = {}
    for seed in seeds:
        x, y = log(seed)
        for side, name in enumerate(SIDES):
            for way, by in ways(x, y, side, seed, steps).items():
                for many, score in by.items():
                    scores.setdefault(name, {}).setdefault(way, {}).setdefault(str(many), []).append(score)
    means = {n: {w: {k: round(float(np.mean(v)), 3) for k, v in by.items()} for w, by in each.items()}
             for n, each in scores.items()}  # fmt: skip
    about = {"steps": steps, "seeds": list(seeds), "seconds": round(time.process_time() - began)}
    out.write_text(json.dumps({"about": about, "means": means, "scores": scores}, indent=1) + "\n")
    return means


if __name__ == "__main__":
    if sys.argv[1:] == ["--short"]:
        print(json.dumps(main(20, (0,), Path("/dev/null")), indent=1))
    else:
        print(json.dumps(main(), indent=1))
