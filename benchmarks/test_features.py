"""Frozen features computed once: within a training, and over the calls of a comparison.

A probe on kept features is at least ten times as fast as forwarding the frozen conv4 in every epoch. A
store that is asked as four strategies ask over five seeds, for 300 of 600 training rows and all test rows,
is at least five times as fast as forwarding these rows at every call.
"""

import time

import torch
from torch import nn

from headstart.engine import FeatureStore, cached_features, fit
from headstart.models import Net, backbone, freeze
from headstart.tasks import Labelled, Multiclass, Task, batches

ROWS, EPOCHS, SIZE = 512, 20, 64


def train(net, x):
    y = torch.arange(ROWS) % 10
    task = Task("digits", Multiclass(10), Labelled(x, y))

    def objective(net, batch, progress):
        return {n: task.kind.loss(net(rows.x, n), rows.y) for n, rows in batch.items()}

    optimizer = torch.optim.SGD(net.heads.parameters(), lr=0.1)
    stream = batches([task], SIZE, generator=torch.Generator().manual_seed(1))
    fit(net, stream, objective, steps=EPOCHS * ROWS // SIZE, optimizer=optimizer, progress=False)


def test_probe_on_kept_features(benchmark):
    torch.manual_seed(0)
    x = torch.randn(ROWS, 1, 28, 28)
    net = Net(backbone("conv4", inputs=(1, 28, 28)), {"digits": nn.Linear(64, 10)})
    freeze(net.backbone)
    head = Net(nn.Identity(), {"digits": nn.Linear(64, 10)})
    head.heads.load_state_dict(net.heads.state_dict())
    train(head, torch.zeros(ROWS, 64))  # warms up
    head.heads.load_state_dict(net.heads.state_dict())

    start = time.process_time()
    train(net, x)
    forwarding = time.process_time() - start

    start = time.process_time()
    benchmark.pedantic(lambda: train(head, cached_features(net, x)), rounds=1)
    kept = time.process_time() - start

    benchmark.extra_info.update(forwarding_seconds=forwarding, kept_seconds=kept, ratio=forwarding / kept)
    print(benchmark.extra_info)
    torch.testing.assert_close(head.heads["digits"].weight, net.heads["digits"].weight, rtol=1e-3, atol=1e-4)
    assert forwarding / kept >= 10


def test_a_store_over_the_calls_of_a_comparison(benchmark, tmp_path):
    torch.manual_seed(0)
    rows, test = torch.randn(600, 1, 14, 14), torch.randn(300, 1, 14, 14)
    net = Net(freeze(backbone("conv4", inputs=(1, 14, 14))), {})
    asked = [part for _ in range(5) for part in [rows[torch.randperm(600)[:300]], test] * 4]
    cached_features(net, test)  # warms up

    def kept():
        store = FeatureStore(tmp_path)
        return [store.features(net, store.key(net.backbone), x) for x in asked], store.forwarded

    start = time.process_time()
    computed = [cached_features(net, x) for x in asked]
    forwarding = time.process_time() - start

    start = time.process_time()
    found, forwarded = benchmark.pedantic(kept, rounds=1)
    keeping = time.process_time() - start

    benchmark.extra_info.update(
        forwarding_seconds=forwarding, kept_seconds=keeping, ratio=forwarding / keeping, forwarded=forwarded
    )
    print(benchmark.extra_info)
    assert forwarded <= 900
    assert all(map(torch.equal, found, computed))
    assert forwarding / keeping >= 5
