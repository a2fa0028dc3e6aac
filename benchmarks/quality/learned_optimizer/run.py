"""A learned optimiser against tuned SGD and Adam on new tasks of its family, and where it stops winning.

Two families: least squares in 10 dimensions, and few-shot digits by a small net (trained on the digits 0 to
4, judged on 5 to 9), both from random starts. SGD and Adam have the step size, of ten, that ends lowest on
tasks of training after as many steps as the rule was trained for. The rule's own rate is 0.01 and 0.003: by
0.01 its loss on digits falls for 25 steps and rises again, to that of a net which answers every class alike.
Then the gates with a learned start, judged as few-shot learners beside ``MAML``. A few minutes on one thread;
the figures are written beside this file.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy, mse_loss

import headstart as hs
from headstart import meta
from headstart.maths import interval, paired_interval
from headstart.maths.random import generator
from headstart.tasks import Episodes, Labelled, draw_episodes

HERE, TESTED, SIDE_BY_SIDE = Path(__file__).parent, 100, 8
RATES = [3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001]


def same(support):
    return Episodes(support, support, 0)


def squares(count, g, part):
    x, y = torch.randn(count, 10, 10, generator=g), torch.randn(count, 10, 1, generator=g)
    return same(Labelled(x, y))


def digits(count, g, part):
    (task,) = hs.datasets.read("digits:0-4" if part == "train" else "digits:5-9")
    stream = hs.episodes(task, ways=5, shots=5, queries=1, per_step=count, generator=g)
    return same(next(stream).support)


FAMILIES = {
    "least squares": {
        "tasks": squares, "loss": mse_loss, "steps": 40, "trained": 500, "rate": 0.01, "per step": 8,
        "net": lambda: hs.Net(nn.Identity(), {"t": nn.Linear(10, 1, bias=False)}),
    },
    "digits": {
        "tasks": digits, "loss": cross_entropy, "steps": 20, "trained": 500, "rate": 0.003, "per step": 4,
        "net": lambda: hs.Net(
            nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh()), {"t": nn.Linear(8, 5)}
        ),
    },
}  # fmt: skip


def steps_of(family, net):
    """Give tasks of training, and a start of its own for each step."""
    step = 0
    while True:
        g = generator(0, "learned optimiser", step)
        start(net, g)
        yield family["tasks"](family["per step"], g, "train")
        step += 1


@torch.no_grad()
def start(net, g):
    for module in net.modules():
        if isinstance(module, nn.Linear):
            width = module.in_features**-0.5
            for p in module.parameters():
                p.copy_(width * (2 * torch.rand(p.shape, generator=g) - 1))


def by_rule(rule, net, tasks, loss, length):
    """Return the losses after each step, ``(T, length)``."""
    longer = meta.LearnedOptimizer("t", steps=length, hidden=rule.hidden, loss=loss)
    longer.load_state_dict(rule.state_dict())

    def one(x, y):
        return torch.stack([loss(at(x), y) for at in longer.path(net, Labelled(x, y))])

    with torch.no_grad():
        return vmap(one)(tasks.support.x, tasks.support.y)


def by_hand(kind, rate, net, tasks, loss, length):
    """Do the same by SGD or Adam."""
    x, y = tasks.support.x, tasks.support.y
    weights = {n: p.detach().expand(len(y), *p.shape).clone() for n, p in net.named_parameters()}
    first, second = ({n: torch.zeros_like(w) for n, w in weights.items()} for _ in range(2))

    def one(weights, x, y):
        return loss(functional_call(net, weights, (x, "t")), y)

    found = []
    for step in range(1, length + 1):
        slopes = vmap(grad(one))(weights, x, y)
        for n, slope in slopes.items():
            if kind == "SGD":
                weights[n] = weights[n] - rate * slope
                continue
            first[n] = 0.9 * first[n] + 0.1 * slope
            second[n] = 0.999 * second[n] + 0.001 * slope**2
            mean, spread = first[n] / (1 - 0.9**step), second[n] / (1 - 0.999**step)
            weights[n] = weights[n] - rate * mean / (spread.sqrt() + 1e-8)
        found.append(vmap(one)(weights, x, y))
    return torch.stack(found, 1)


def tuned(kind, family, net, seed):
    """Return the step size that ends lowest on tasks of training."""
    tasks = family["tasks"](TESTED, generator(seed, "tuning"), "train")
    ends = {
        rate: float(
            by_hand(kind, rate, net, tasks, family["loss"], family["steps"])[:, -1].mean().nan_to_num(1e9)
        )
        for rate in RATES
    }
    return min(ends, key=ends.get)


def compare(name):
    """Train a rule on a family, and compare it on new tasks of it up to four times as many steps."""
    family = FAMILIES[name]
    torch.manual_seed(0)
    net, loss, steps = family["net"](), family["loss"], family["steps"]
    rule = meta.LearnedOptimizer("t", steps=steps, hidden=10, segment=20, loss=loss)
    began = time.perf_counter()
    optimizer = torch.optim.Adam(rule.parameters(), lr=family["rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, family["trained"])
    hs.fit(
        net, steps_of(family, net), meta.Unrolled(rule, loss), steps=family["trained"], optimizer=optimizer,
        scheduler=schedule, clip=1.0, progress=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    start(net, generator(1, "start"))
    tasks, length = family["tasks"](TESTED, generator(2, "new"), "test"), 4 * steps
    ways = {"learned": by_rule(rule, net, tasks, loss, length)}
    rates = {kind: tuned(kind, family, net, 3) for kind in ("SGD", "Adam")}
    for kind, rate in rates.items():
        ways[f"{kind}, step size {rate:g}"] = by_hand(kind, rate, net, tasks, loss, length)
    at = sorted({max(1, steps // 4), steps // 2, steps, 2 * steps, 4 * steps})
    figures = {way: {str(k): summary(values[:, k - 1]) for k in at} for way, values in ways.items()}
    learned, *others = ways.values()
    best = torch.stack(others).mean(1).argmin(0)  # the better of the two at each step, by its mean
    wins = []
    for k in range(length):
        _, high = paired_interval(learned[:, k].tolist(), others[int(best[k])][:, k].tolist())
        wins.append(high < 0)
    found = {
        "trained for": steps, "by steps of Adam": family["trained"], "seconds": round(seconds, 1),
        "loss after steps": figures,
        "better than both, interval below 0, at steps": spans(wins),
    }  # fmt: skip
    print(name, json.dumps(found, indent=1), flush=True)
    return found


def summary(values):
    low, high = interval(values.tolist())
    return [round(float(values.mean()), 4), round((high - low) / 2, 4)]


def spans(wins):
    """Say at which steps, counted from 1, something holds."""
    found, begun = [], None
    for step, holds in enumerate([*wins, False], 1):
        if holds and begun is None:
            begun = step
        if not holds and begun is not None:
            found.append(f"{begun} to {step - 1}")
            begun = None
    return found


def few_shot():
    """Learn a start and its gates on the digits 0 to 4, and tell 5 to 9 apart from 5 rows of each."""
    (train,), (test,) = hs.datasets.read("digits:0-4"), hs.datasets.read("digits:5-9")
    drawn = draw_episodes(test, 300, ways=5, shots=5, queries=10, seed=0)
    methods = {
        "MetaLSTM": lambda: meta.MetaLSTM("t", steps=5, hidden=10),
        "LearnedOptimizer": lambda: meta.LearnedOptimizer("t", steps=5, hidden=10),
        "MAML": lambda: meta.MAML("t", lr=0.1, steps=5),
    }
    nets, seconds = {}, {}
    for name, make in methods.items():
        torch.manual_seed(0)
        net, adaptation = FAMILIES["digits"]["net"](), make()
        learner = meta.Episodic(adaptation)
        optimizer = torch.optim.Adam([*net.parameters(), *learner.parameters()], lr=3e-3)
        stream = hs.episodes(
            train, ways=5, shots=5, queries=10, per_step=SIDE_BY_SIDE, generator=generator(0, "few-shot")
        )
        began = time.perf_counter()
        hs.fit(net, stream, learner, steps=200, optimizer=optimizer, clip=1.0, progress=False)
        seconds[name], nets[name] = round(time.perf_counter() - began, 1), (net, adaptation)
    scores = meta.evaluate_episodes(nets, test, drawn, progress=False)
    found = {
        n: {"seconds": seconds[n], "accuracy": summary(torch.tensor(scores.scores[n]["inductive"]))}
        for n in nets
    }
    print(json.dumps(found, indent=1), flush=True)
    return found


def main(names):
    """Run the parts that are named, or all, and write them among those that are there."""
    torch.set_num_threads(1)
    parts = {name: partial(compare, name) for name in FAMILIES} | {"few-shot digits, 5 shots": few_shot}
    path = HERE / "figures.json"
    for name, run in parts.items():
        if not names or name in names:
            row = run()
            found = json.loads(path.read_text()) if path.is_file() else {}
            path.write_text(json.dumps(found | {name: row}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
