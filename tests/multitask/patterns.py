"""What every pattern of sharing has to do, for the tests of each."""

import pytest
import torch
from torch import nn

from headstart.models import Net, backbone, load, save
from headstart.tasks import Labelled, Multiclass, Regression, Task, batches
from headstart.testing import check_objective
from headstart.transfer import Supervised


def rows(seed=0, many=24, width=5):
    return torch.randn(many, width, generator=torch.Generator().manual_seed(seed))


def two(first, second=None):
    """Two tasks: on the same rows, or on rows of their own."""
    second = first if second is None else second
    labels = (first.flatten(1)[:, 0] > 0).long()
    return (
        Task("a", Multiclass(2), Labelled(first, labels)),
        Task("b", Regression(), Labelled(second, second.flatten(1)[:, 1])),
    )


def netted(pattern, tasks):
    return Net(pattern, {t.name: t.kind.head(pattern.width_for(t.name)) for t in tasks})


def check_pattern(pattern, tmp_path, first, second=None):
    """Check that a pattern trains, is loads without code, and meets tasks one by one or at once."""
    tasks = two(first, second)
    net, batch = netted(pattern, tasks), {t.name: t.train for t in tasks}
    check_objective(Supervised(*tasks), net, batch)
    net.eval()
    features, _ = net.together({t.name: t.train.x for t in tasks}, 0.5)
    for task in tasks:
        alone = net.features(task.train.x, task.name)
        torch.testing.assert_close(features[task.name], alone)
        assert alone.shape == (len(task.train), pattern.width_for(task.name))
    where = save(net, tmp_path / "model", kinds={t.name: t.kind for t in tasks})
    loaded = load(where).net
    for task in tasks:
        assert torch.equal(loaded(task.train.x, task.name), net(task.train.x, task.name))
    assert type(backbone(f"file:{where}")) is type(pattern)
    with pytest.raises(KeyError, match=r'found "c"'):
        net.features(first, "c")
    with pytest.raises(ValueError, match="name of the task should be one of"):
        net.features(first)


def trained(pattern, tasks, steps=60, lr=1e-2, combine=None):
    """Train on the tasks; return the net and the losses of each step."""
    net = seeded(lambda: netted(pattern, tasks))
    stream = batches(tasks, 12, generator=torch.Generator().manual_seed(0))
    objective, optimizer = Supervised(*tasks), torch.optim.Adam(net.parameters(), lr=lr)
    history = []
    for step, batch in zip(range(steps), stream, strict=False):
        optimizer.zero_grad()
        losses = objective(net, batch, step / steps)
        torch.stack([*losses.values()]).sum().backward() if combine is None else combine(losses, net)
        optimizer.step()
        history.append({name: loss.item() for name, loss in losses.items()})
    return net, history


def seeded(make):
    """Make a module from a seed of its own, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def unknown(width=5):
    return nn.Sequential(nn.Linear(width, 6), nn.Tanh())
