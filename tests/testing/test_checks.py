"""The checks find what they say they find."""

import math

import pytest
import torch
from torch import nn

from headstart.models import Adapted, Net
from headstart.multitask import PerTask
from headstart.tasks import Labelled, Multiclass, Task
from headstart.testing import check_adaptation, check_combine, check_objective, check_score, check_weighing
from headstart.transfer import Supervised

ROWS = Labelled(torch.linspace(-1, 1, 12).reshape(4, 3), torch.tensor([0, 1, 0, 1]))
TASK = Task("a", Multiclass(2), ROWS)


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net(nn.Linear(3, 4), {"a": nn.Linear(4, 2)})


def plain(net, batch):
    return Supervised(TASK)(net, batch, 0.0)["a"]


def empty(net, batch, progress):
    return {}


def vector(net, batch, progress):
    return {"a": plain(net, batch)[None]}


def infinite(net, batch, progress):
    return {"a": plain(net, batch) / 0}


def rng(net, batch, progress):
    return {"a": plain(net, batch) + 0 * torch.rand(())}


def python_rng(net, batch, progress):
    import random

    return {"a": plain(net, batch) + 0 * random.random()}


def writes(net, batch, progress):
    batch["a"].x.mul_(1.0001)
    return {"a": plain(net, batch)}


def trains(net, batch, progress):
    net.backbone.bias.data.add_(0.1)
    return {"a": plain(net, batch)}


def detached(net, batch, progress):
    return {"a": net.head("a")(net.features(batch["a"].x).detach()).square().mean()}


def single(net, batch, progress):
    return {"a": plain(net, batch).float()}


calls = [0]


def clock(net, batch, progress):
    calls[0] += 1
    return {"a": plain(net, batch) * calls[0]}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (empty, "at least one loss"),
        (vector, "should return a scalar"),
        (infinite, "returns inf as 'a'"),
        (rng, "torch's global random state"),
        (python_rng, "Python's global random state"),
        (writes, "changes its inputs or the net"),
        (trains, "changes its inputs or the net"),
        (detached, "gives the backbone no gradient"),
        (single, "as torch.float32 in float64"),
        (clock, "gives another 'a' when called again"),
        (lambda net, batch, progress: {"a": plain(net, batch)}, "cannot be pickled"),
    ],
)
def test_broken_objectives_are_found(broken, message):
    batch = {"a": Labelled(ROWS.x.clone(), ROWS.y)}
    with pytest.raises(AssertionError, match=message):
        check_objective(broken, net(), batch)


def test_an_objective_that_forgets_its_state_is_found():
    class Forgets(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.unused = nn.Parameter(torch.ones(()))

        def forward(self, net, batch, progress):
            return {"a": plain(net, batch) * self.scale}

    with pytest.raises(AssertionError, match="parameter 'unused' that gets no gradient"):
        check_objective(Forgets(), net(), {"a": ROWS})


def test_checking_leaves_the_net_alone():
    own = net()
    before = {k: v.clone() for k, v in own.state_dict().items()}
    check_objective(Supervised(TASK), own, {"a": ROWS})
    assert all(torch.equal(v, before[k]) for k, v in own.state_dict().items())
    assert all(p.grad is None for p in own.parameters())


def random_weights(gramian):
    return torch.rand(len(gramian)).to(gramian)


def divides(gramian):
    return 1 / gramian.diagonal()


def wide(gramian):
    return gramian.new_ones(len(gramian), 1)


def doubles(gramian):
    return torch.ones(len(gramian), dtype=torch.float64)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (random_weights, "global random state"),
        (divides, "for a zero gradient"),
        (wide, r"returns \(1, 1\), not \(1,\)"),
        (doubles, "returns torch.float64 for torch.float32"),
    ],
)
def test_broken_weighings_are_found(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_weighing(broken)


def test_a_loss_weighing_that_cuts_the_graph_is_found():
    with pytest.raises(AssertionError, match="gives a loss no gradient"):
        check_weighing(torch.max, of="losses")


class Counts(PerTask):
    def forward(self, losses):
        return losses.sum()


def test_a_loss_weighing_that_counts_absent_tasks_is_found():
    with pytest.raises(AssertionError, match="returns nan without task 0"):
        check_weighing(Counts(["a", "b"]), of="losses", tasks=2)


def losses(net):
    x = ROWS.x.to(next(net.parameters()))
    return {name: (net(x, name) - 1).square().mean() for name in net.heads}


def resets(losses, net):
    net.zero_grad()
    if any(loss.requires_grad for loss in losses.values()):
        sum(losses.values()).backward()


def fills(losses, net):
    if any(loss.requires_grad for loss in losses.values()):
        sum(losses.values()).backward()
        for p in net.parameters():
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad


def steps(losses, net):
    if any(loss.requires_grad for loss in losses.values()):
        sum(losses.values()).backward()
        net.backbone.bias.data.sub_(0.1)


def plain_sum(losses, net):
    if any(loss.requires_grad for loss in losses.values()):
        sum(losses.values()).backward()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (resets, "resets does not add to the gradient that backbone"),
        (fills, "fills gives the head of 'a' a gradient, which is absent"),
        (steps, "steps changes its inputs or the net"),
        (lambda losses, net: plain_sum(losses, net), "cannot be pickled"),
    ],
)
def test_broken_combines_are_found(broken, message):
    own = net()
    own.heads["b"] = nn.Linear(4, 1)
    check_combine(plain_sum, own, losses)
    with pytest.raises(AssertionError, match=message):
        check_combine(broken, own, losses)


def cut(net, support):
    return Adapted(
        net,
        "a",
        {"backbone.bias": net.backbone.bias.detach(), "backbone.weight": net.backbone.weight.detach()},
    )


def inplace(net, support):
    net.backbone.bias.data.add_(0.1)
    return Adapted(net, "a", {})


def noisy(net, support):
    g = torch.Generator()
    g.seed()
    return Adapted(net, "a", {"heads.a.bias": torch.randn(2, generator=g)})


def bare(net, support):
    return lambda x: net(x, "a")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (cut, "gives the backbone no gradient"),
        (inplace, "changes its inputs or the net"),
        (noisy, "adapts differently when called again"),
        (bare, "what bare returns should be of type Adapted, not function"),
    ],
)
def test_broken_adaptations_are_found(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_adaptation(broken, net(), ROWS, ROWS)


def tensor_score(values, labels):
    return values.sum()


def order_score(values, labels):
    return float(values.detach()[0, 0])


def nan_score(values, labels):
    return math.nan


def lax_score(values, labels):
    return float(values.detach().mean())


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (tensor_score, "returns should be of type float, not Tensor"),
        (order_score, "for another order of the rows"),
        (nan_score, "returns nan"),
        (lax_score, "without a ValueError"),
    ],
)
def test_broken_scores_are_found(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_score(broken)
