"""What a step that weighs tasks costs over one that sums their losses, in turn in one process, one thread.

An MLP at 256 rows with one head of 10 classes for each task, which share their rows or have their own; and
TorchJD beside it (its gradients of the features, then of the weights one task after another, and the mean).
"""

import itertools
import statistics
import time

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from headstart.models import Net
from headstart.multitask import STCH, backward, mgda, weighted

THREADS = 1
ROWS, CLASSES, ROUNDS = 256, 10, 9
WIDE, EVEN = (784, 512, 512, 256), (256, 512, 512, 512, 256)
EXACT = {(WIDE, 8): 4.0, (WIDE, 32): 10.5, (EVEN, 8): 5.0, (EVEN, 32): 14.0}
PEER = 0.7  # of TorchJD, at most


def problem(widths, tasks):
    torch.manual_seed(0)
    layers = [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    heads = {f"task{k}": nn.Linear(widths[-1], CLASSES) for k in range(tasks)}
    net = Net(nn.Sequential(*layers), heads)
    return net, torch.randn(ROWS, widths[0]), torch.randint(0, CLASSES, (ROWS, tasks))


def shared(net, x, y):
    z = net.features(x)
    return {n: cross_entropy(h(z), y[:, k]) for k, (n, h) in enumerate(net.heads.items())}


def apart(net, x, y):
    parts = net.features(x).split(ROWS // len(net.heads))
    rows = y[:, 0].split(ROWS // len(net.heads))
    return {n: cross_entropy(h(z), r) for (n, h), z, r in zip(net.heads.items(), parts, rows, strict=True)}


def summed(losses, net):
    sum(losses.values()).backward()


def torchjd(net, x, y):
    jac = pytest.importorskip("torchjd.autojac")
    mean = pytest.importorskip("torchjd.aggregation").Mean()
    z = net.features(x)
    losses = [cross_entropy(h(z), y[:, k]) for k, h in enumerate(net.heads.values())]
    jac.mtl_backward(losses, features=z, parallel_chunk_size=1)
    jac.jac_to_grad(list(net.backbone.parameters()), mean)


def ratios(benchmark, net, plain, **others):
    """Take the median of each step's time over the plain one's, round by round."""
    times = {name: [] for name in ("plain", *others)}
    for _ in range(ROUNDS):
        for name, step in {"plain": plain, **others}.items():
            net.zero_grad()
            start = time.process_time()
            step()
            times[name].append(time.process_time() - start)
    found = {
        name: statistics.median(a / b for a, b in zip(times[name], times["plain"], strict=True))
        for name in others
    }
    benchmark.extra_info.update(found, plain_milliseconds=1e3 * min(times["plain"]))
    print(benchmark.extra_info)
    benchmark.pedantic(plain, rounds=1)
    return found


@pytest.mark.parametrize(("widths", "tasks"), EXACT)
def test_the_exact_gramian(widths, tasks, benchmark):
    net, x, y = problem(widths, tasks)
    found = ratios(
        benchmark,
        net,
        lambda: summed(shared(net, x, y), net),
        losses=lambda: weighted(STCH())(shared(net, x, y), net),
        features=lambda: backward(mgda, at="features")(shared(net, x, y), net),
        weights=lambda: backward(mgda)(shared(net, x, y), net),
        torchjd=lambda: torchjd(net, x, y),
    )
    assert found["losses"] <= 1.05
    assert found["weights"] <= EXACT[widths, tasks]
    assert found["weights"] <= PEER * found["torchjd"]


@pytest.mark.parametrize("tasks", [2, 8, 32])
def test_rows_of_their_own(tasks, benchmark):
    net, x, y = problem(WIDE, tasks)
    found = ratios(
        benchmark,
        net,
        lambda: summed(apart(net, x, y), net),
        weights=lambda: backward(mgda)(apart(net, x, y), net),
    )
    assert found["weights"] <= 1.45
