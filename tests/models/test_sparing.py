"""What a module does in place is not seen by others; a row alone goes through any batch norm."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import headstart as hs
from headstart.domains import DANN
from headstart.tasks import Inputs, Labelled, Multiclass, Shift

X, Y = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 2
ROWS = Labelled(X, Y)


class InPlace(nn.Module):
    """Normalise rows in place, as many a user's module does."""

    def __init__(self, how):
        super().__init__()
        self.how, self.layer = how, nn.Linear(4, 8)

    def forward(self, x):
        return self.layer(self.how(x))


HOWS = [
    lambda x: x.sub_(0.5).div_(0.5),
    lambda x: F.relu_(x),
    lambda x: x.clamp_(-1, 1),
    lambda x: x.__setitem__(slice(None), x * 2) or x,
]


@pytest.mark.parametrize("how", HOWS)
def test_rows_stay_as_they_are(how):
    before = X.clone()
    task = hs.Task("a", Multiclass(2), ROWS, test=ROWS)
    net = hs.Net(InPlace(how), {"a": nn.Linear(8, 2)})
    values = [hs.evaluate(net, task)["log_loss"].value for _ in range(3)]
    net.features(X)
    hs.Supervised(task)(net, {"a": ROWS}, 0.0)
    assert torch.equal(X, before)
    assert len(set(values)) == 1


HEADS = [
    lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(8, 2)),
    lambda: nn.Sequential(nn.Dropout(0.0, inplace=True), nn.ELU(inplace=True), nn.Linear(8, 2)),
    lambda: Doubling(),
]


class Doubling(nn.Linear):
    """Double the features in place."""

    def __init__(self):
        super().__init__(8, 2)

    def forward(self, z):
        return super().forward(z.mul_(2))


@pytest.mark.parametrize("head", HEADS)
def test_a_heads_loss_does_not_depend_on_those_beside_it(head):
    a, b = (hs.Task(name, Multiclass(2), ROWS) for name in "ab")
    net = hs.Net(nn.Linear(4, 8), {"a": head(), "b": nn.Linear(8, 2)})
    both = hs.Supervised(a, b)(net, {"a": ROWS, "b": ROWS}, 0.0)
    alone = hs.Supervised(b)(net, {"b": ROWS}, 0.0)
    assert both["b"] == alone["b"]
    plain = hs.Supervised(a)(net, {"a": ROWS}, 0.0)
    assert both["a"] == plain["a"]


@pytest.mark.parametrize("head", HEADS)
def test_the_critic_sees_the_features_that_the_head_was_given(head):
    task = hs.Task("a", Multiclass(2), ROWS)
    made = head()
    net = hs.Net(nn.Linear(4, 8), {"a": made})
    shift = Shift(ROWS, Inputs(X + 1))
    method = DANN(task, features=8)
    found = method(net, shift, 0.5)
    net.heads["a"] = nn.Linear(8, 2)
    other = method(net, shift, 0.5)
    (name,) = [key for key in found if key != "label"]
    assert found[name] == other[name]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_row_alone_goes_through_batch_norms(layers, frozen):
    norms = [nn.BatchNorm1d(4) for _ in range(layers)]
    net = hs.Net(nn.Sequential(*norms, nn.Linear(4, 8)), {"a": nn.Linear(8, 2)}).train(not frozen)
    rested = net.features(X[:1])
    assert torch.equal(rested, nn.Sequential(*norms, net.backbone[-1]).eval()(X[:1]))
    assert all(not norm.running_mean.any() for norm in norms)
    nn.Module.train(net, not frozen)
    net.features(X)
    assert all(bool(norm.running_mean.any()) is not frozen for norm in norms)


@pytest.mark.parametrize("sampling", ["proportional", "temperature:0.8"])
def test_small_tasks_beside_large_ones_train_under_batch_norm(sampling):
    def task(name, count):
        return hs.Task(name, Multiclass(2), Labelled(torch.randn(count, 4), torch.arange(count) % 2))

    tasks = [task("a", 300), task("b", 20)]
    net = hs.Net(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)), {n: nn.Linear(8, 2) for n in "ab"})
    stream = hs.batches(tasks, 8, sampling=sampling, generator=torch.Generator().manual_seed(0))
    losses = hs.fit(
        net, stream, hs.Supervised(*tasks), steps=40,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1), progress=False,
    )  # fmt: skip
    assert losses
