"""A probe on kept features against forwarding the frozen conv4 in every epoch: at least ten times faster."""

import time

import torch
from torch import nn

from headstart.engine import cached_features, fit
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
