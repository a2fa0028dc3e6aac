import copy

import pytest
import torch
from torch import nn

from headstart.engine import Averaged, fit
from headstart.models import Net, fix_norms, freeze
from headstart.tasks import Labelled, Multiclass, Task, batches
from headstart.transfer import Supervised


def problem():
    torch.manual_seed(0)
    x, y = torch.randn(12, 3), torch.arange(12) % 2
    task = Task("a", Multiclass(2), Labelled(x, y))
    trunk = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    return task, Net(trunk, {"a": nn.Linear(4, 2)}).double()


class Path(Averaged):
    """Keep every step's weights as well."""

    def __init__(self, **given):
        super().__init__(**given)
        self.path = []

    def after(self, net, step):
        super().after(net, step)
        self.path.append(net.heads["a"].weight.detach().clone())


def trained(task, net, watch, steps=10):
    task = Task("a", task.kind, Labelled(task.train.x.double(), task.train.y))
    stream = batches([task], 6, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.05)
    fit(net, stream, Supervised(task), steps=steps, optimizer=optimizer, held=watch, progress=False)
    return net


def test_the_plain_mean_is_that_of_the_steps_from_the_start_on():
    task, net = problem()
    watch = Path(start=4)
    trained(task, net, watch)
    torch.testing.assert_close(net.heads["a"].weight.detach(), torch.stack(watch.path[3:]).mean(0))


def test_the_exponential_mean_is_that_of_the_formula():
    task, net = problem()
    watch = Path(decay=0.7)
    trained(task, net, watch)
    mean = watch.path[0]
    for weight in watch.path[1:]:
        mean = 0.7 * mean + 0.3 * weight
    torch.testing.assert_close(net.heads["a"].weight.detach(), mean)


def test_what_is_frozen_stays_to_the_bit():
    task, net = problem()
    freeze(net.backbone[0])
    fix_norms(net.backbone)
    still = [net.backbone[0], net.backbone[1]]
    before = [copy.deepcopy(part.state_dict()) for part in still]
    trained(task, net, Averaged(decay=0.9))
    for part, state in zip(still, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in part.state_dict().items())


def test_a_mean_goes_on_where_it_was():
    net = problem()[1]
    one, two = Averaged(start=2), Averaged(start=2)
    for step in range(1, 4):
        nn.init.constant_(net.heads["a"].weight, step)
        one.after(net, step)
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for mean in (one, two):
        nn.init.constant_(net.heads["a"].weight, 7.0)
        mean.after(net, 4)
        mean.keep(net)
        assert torch.allclose(net.heads["a"].weight, torch.tensor(4.0).double())  # of 2, 3 and 7


def test_a_mean_of_no_step_changes_nothing_and_bad_numbers_are_told():
    net = problem()[1]
    before = net.heads["a"].weight.clone()
    Averaged(start=5).keep(net)
    assert torch.equal(before, net.heads["a"].weight)
    with pytest.raises(ValueError, match="`start` should be at least 1; found 0"):
        Averaged(start=0)
    with pytest.raises(ValueError, match=r"`decay` should be in \(0, 1\), or None; found 1"):
        Averaged(decay=1.0)
