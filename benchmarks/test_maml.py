"""MAML on all episodes at once against a plain loop over them, forward and backward.

Both run in turn in one process, so that whatever else the machine does hits both; the ratio is that
of the medians of rounds of several calls, in wall time on two threads. The plain loop is
functional_call and torch.autograd.grad over a net as a user would write it, whose batch norm keeps no
statistics, with one backward pass. That both have the same gradients is checked in float64; in float32 the
rounding of either moves those of the pooled net by 0.2 to 0.4 %.

Memory that a step frees stays with the process, as it does in the ``headstart`` command.

What limits Conv4-64 is arithmetic that both ways share: about 10 GFLOP of convolutions, forward, backward
and second backward. The goals are 18 (sine), 3.2 (strided) and 1.9 (pooled); first order 3.0 and 1.6, the
head alone 3.3 and 1.9; ``result.json`` holds what was reached, and what is asserted leaves room, since ratios
vary with what else the cores do. Strided with 15 queries a class is reported, without a goal.

Memory is that of the process above its size before the step, each way in a process of its own. The goal is
190 MB for the strided net in second order.
"""

import copy
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from headstart.engine import keep_memory
from headstart.meta import ANIL, MAML, Episodic
from headstart.models import Net
from headstart.tasks import Episodes, Labelled
from headstart.tasks.nouns import convert

THREADS = 2


def sine():
    """The sine MLP 1-40-40-1 on 25 tasks of 10 support and 10 query rows."""
    backbone = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU())
    support, query = (Labelled(torch.randn(25, 10, 1), torch.randn(25, 10, 1)) for _ in range(2))
    return Net(backbone, {"a": nn.Linear(40, 1)}), Episodes(support, query, 0), F.mse_loss, 0.01


def omniglot(geometry, queries=1):
    """Conv4-64 with batch norm on 32 tasks of 5 ways and 1 shot."""

    def block(channels):
        conv = nn.Conv2d(channels, 64, 3, 2 if geometry == "strided" else 1, padding=1)
        pool = [nn.MaxPool2d(2)] if geometry == "pooled" else []
        return [conv, nn.BatchNorm2d(64, track_running_stats=False), nn.ReLU(), *pool]

    backbone = nn.Sequential(*block(1), *block(64), *block(64), *block(64), nn.Flatten())
    y = torch.arange(5).expand(32, -1)
    support, query = (
        Labelled(torch.rand(32, 5 * rows, 1, 28, 28), y.repeat(1, rows)) for rows in (1, queries)
    )
    net = Net(backbone, {"a": nn.Linear(256 if geometry == "strided" else 64, 5)})
    return net, Episodes(support, query, 5), F.cross_entropy, 0.4


def strided():
    return omniglot("strided")


def queries():
    """Strided, with 15 queries a class."""
    return omniglot("strided", queries=15)


def pooled():
    return omniglot("pooled")


def plain(net, episodes, loss, adaptation):
    total = torch.zeros(())
    head_alone, first_order = isinstance(adaptation, ANIL), adaptation.first_order
    for t in range(len(episodes)):
        support, query = episodes.episode(t)
        weights = dict(net.named_parameters())
        moving = {n: w for n, w in weights.items() if not head_alone or n.startswith("heads.")}
        value = loss(functional_call(net, weights, (support.x, "a")), support.y)
        slopes = torch.autograd.grad(value, list(moving.values()), create_graph=not first_order)
        moved = {n: w - adaptation.lr * g for (n, w), g in zip(moving.items(), slopes, strict=True)}
        total = total + loss(functional_call(net, weights | moved, (query.x, "a")), query.y)
    return total / len(episodes)


WAYS = {
    "second": lambda lr, loss: MAML("a", lr=lr, steps=1, loss=loss),
    "first": lambda lr, loss: MAML("a", lr=lr, steps=1, loss=loss, first_order=True),
    "head": lambda lr, loss: ANIL("a", lr=lr, steps=1, loss=loss),
}


def check_gradients(net, episodes, loss, adaptation):
    """Assert that both ways have the same gradients in float64."""
    wide = copy.deepcopy(net).double()
    rows = convert(episodes, lambda part: part.double() if part.is_floating_point() else part)
    found = []
    for value in (plain(wide, rows, loss, adaptation), Episodic(adaptation, loss)(wide, rows, 0.0)["query"]):
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, [*wide.parameters()])]))
    assert (found[0] - found[1]).norm() <= 1e-10 * found[0].norm()


CASES = [
    (sine, "second", 61, 10, 14.0),
    (strided, "second", 41, 1, 2.6),
    (strided, "first", 41, 1, 2.4),
    (strided, "head", 41, 1, 2.6),
    (queries, "second", 11, 1, 1.1),
    (pooled, "second", 15, 1, 1.7),
    (pooled, "first", 15, 1, 1.5),
    (pooled, "head", 15, 1, 1.5),
]


@pytest.mark.parametrize(
    ("make", "way", "rounds", "calls", "least"),
    CASES,
    ids=[f"{case[0].__name__}-{case[1]}" for case in CASES],
)
def test_episodes_at_once(benchmark, make, way, rounds, calls, least):
    keep_memory()
    torch.manual_seed(0)
    net, episodes, loss, lr = make()
    adaptation = WAYS[way](lr, loss)
    objective = Episodic(adaptation, loss)
    ways = {
        "loop": lambda: plain(net, episodes, loss, adaptation),
        "at_once": lambda: objective(net, episodes, 0.0)["query"],
    }
    check_gradients(net, episodes, loss, adaptation)
    timed = {name: [] for name in ways}
    for _ in range(rounds):
        for name, forward in ways.items():
            start = time.perf_counter()
            for _ in range(calls):
                net.zero_grad()
                forward().backward()
            timed[name].append((time.perf_counter() - start) / calls)
    seconds = {name: statistics.median(values) for name, values in timed.items()}
    ratio = seconds["loop"] / seconds["at_once"]
    benchmark.extra_info.update(seconds, ratio=ratio, least=least, threads=torch.get_num_threads())
    benchmark.pedantic(lambda: ways["at_once"]().backward(), rounds=3)
    print(benchmark.extra_info)
    assert ratio >= least


# Peak memory


def megabytes(field):
    """Read a size of this process, as Linux tells it."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) / 1024


def peak(geometry, way):
    """Print by how many MB one step raises the peak of this process."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    net, episodes, loss, lr = omniglot(geometry)
    adaptation = WAYS["second"](lr, loss)
    objective = Episodic(adaptation, loss, max_memory=int(way) * 2**20 if way.isdigit() else None)
    if way == "vmap":
        objective.folded = lambda *given: None
    first = Episodes(episodes.support.take(torch.arange(1)), episodes.query.take(torch.arange(1)), 5)
    warm = Episodic(adaptation, loss, max_memory=2**30)  # PyTorch loads parts of itself on first use
    warm(net, first, 0.0)["query"].backward()
    net.zero_grad()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    start = megabytes("VmRSS")
    value = (
        plain(net, episodes, loss, adaptation) if way == "loop" else objective(net, episodes, 0.0)["query"]
    )
    value.backward()
    print(megabytes("VmHWM") - start)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak of a process")
@pytest.mark.parametrize("geometry", ["strided", "pooled"])
def test_peak_memory(benchmark, geometry):
    def measured(way):
        told = subprocess.run(
            [sys.executable, __file__, geometry, way], capture_output=True, text=True, check=True
        )
        return float(told.stdout)

    found = {way: measured(way) for way in ("loop", "at_once", "vmap")}
    # `max_memory` counts tensors; what kernels take beside them and what stays unused come on top.
    limit = int(found["at_once"] / 5)
    found |= {"with_max_memory": measured(str(limit)), "max_memory": limit}
    benchmark.extra_info.update(found)
    benchmark.pedantic(lambda: None, rounds=1)
    print(benchmark.extra_info)
    assert found["with_max_memory"] <= found["at_once"] / 2
    assert geometry != "strided" or found["at_once"] <= 190


if __name__ == "__main__":
    peak(*sys.argv[1:])
