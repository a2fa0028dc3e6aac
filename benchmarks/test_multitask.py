"""What a step that weighs tasks costs over one that sums their losses, in turn in one process, one thread.

An MLP at 256 rows with one head of 10 classes for each task, which share their rows or have their own; and
TorchJD beside it (its gradients of the features, then of the weights one task after another, and the mean).
"""

import itertools
import statistics
import subprocess
import sys
import time
from pathlib import Path

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


def test_a_small_convolutional_net(benchmark):
    """46k weights on 128 images, 32 tasks: convolutions have no short way to their Gramian."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 32, 3, 2), nn.ReLU(), nn.Conv2d(32, 64, 3, 2), nn.ReLU()]
    encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 36, 12))
    net = Net(encoder, {f"task{k}": nn.Linear(12, CLASSES) for k in range(32)})
    x, y = torch.randn(128, 1, 28, 28), torch.randint(0, CLASSES, (128, 32))
    found = ratios(
        benchmark,
        net,
        lambda: summed(shared(net, x, y), net),
        features=lambda: backward(mgda, at="features")(shared(net, x, y), net),
        weights=lambda: backward(mgda)(shared(net, x, y), net),
    )
    assert found["weights"] <= 11
    assert found["features"] <= 1.6


BROAD, FEW = (2048, 2048, 2048, 2048), 64
PEAK = """
import re, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_multitask import *
torch.set_num_threads(1)
net, x, y = problem(BROAD, {tasks})
net.zero_grad()
def most():
    return int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = most()
for _ in range(2):
    net.zero_grad()
    losses = shared(net, x[:FEW], y[:FEW])
    {step}
print(most() - before)
"""


def peak(tasks, step):
    """Tell the megabytes that two steps take in a process of their own, beyond the net and the rows."""
    folder = str(Path(__file__).parent)
    code = PEAK.format(folder=folder, tasks=tasks, step=step)
    return float(subprocess.check_output([sys.executable, "-c", code]))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat_in_the_number_of_tasks(benchmark):
    """Gradients of weights for each of 32 tasks would take 1600 MB; what is kept are those of layers."""
    found = {}
    for tasks in (2, 32):
        plain, exact = peak(tasks, "summed(losses, net)"), peak(tasks, "backward(mgda)(losses, net)")
        found[f"plain_{tasks}"], found[f"exact_{tasks}"] = plain, exact
    weights = sum(a * b for a, b in itertools.pairwise(BROAD)) * 4 / 2**20
    activations = sum(BROAD) * FEW * 4 / 2**20  # of one task
    benchmark.extra_info.update(found, megabytes_of_weights=weights, megabytes_of_activations=activations)
    print(benchmark.extra_info)
    benchmark.pedantic(lambda: None, rounds=1)
    more = (found["exact_32"] - found["plain_32"]) - (found["exact_2"] - found["plain_2"])
    assert more <= 3 * 30 * activations  # outputs, inputs and a product of each
    assert more <= 2 * weights
