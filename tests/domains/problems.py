"""Small problems that the tests of this room share."""

import functools

import torch
from torch import nn

from headstart.models import Net
from headstart.tasks import Inputs, Labelled, Multiclass, Task, shifted


def rows(count=6, width=3, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def target_accuracy(seed, method, steps=300):
    """Train on two clusters, and judge on clusters moved along one of the columns that carry labels."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(400) % 2
    sign = 2.0 * y - 1
    x = torch.randn(400, 8, generator=g)
    x[:, :4] += sign[:, None]
    x[:200, 0] += 0.5 * sign[:200]
    x[200:, 0] += 4
    task = Task("side", Multiclass(2), Labelled(x[:200], y[:200]), unlabelled=Inputs(x[200:]))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Net(nn.Sequential(nn.Linear(8, 16), nn.Tanh()), {"side": nn.Linear(16, 2)})
        objective = method(task)
    learned = objective.parameters() if isinstance(objective, nn.Module) else ()
    optimizer = torch.optim.Adam([*net.parameters(), *learned], 3e-3)
    for step, batch in zip(range(steps), shifted(task, 64, generator=g), strict=False):
        optimizer.zero_grad()
        sum(objective(net, batch, step / steps).values()).backward()
        optimizer.step()
    with torch.no_grad():
        return (net(x[200:], "side").argmax(1) == y[200:]).float().mean().item()


@functools.cache
def source_accuracy(seed):
    return target_accuracy(seed, source_alone)


def source_alone(task):
    def objective(net, batch, progress):
        return {"label": task.kind.loss(net(batch.source.x, task.name), batch.source.y)}

    return objective


def assert_no_mixed_statistics(method, batch):
    """Hold that each side is normalised by its own statistics."""
    net = Net(nn.BatchNorm1d(3, affine=False), {"photos": nn.Linear(3, 2)}).double()
    seen = []
    net.backbone.register_forward_hook(lambda module, given, out: seen.append(out.detach()))
    method(net, batch, 0.0)
    assert len(seen) == 2
    for side in seen:
        torch.testing.assert_close(side.mean(0), torch.zeros(3, dtype=torch.float64))
