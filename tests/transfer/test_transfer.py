import copy
import pickle

import pytest
import torch
from torch import nn

from headstart.models import Net, Trunk, freeze
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Regression, Shift, Task
from headstart.transfer import L2SP, Plus, Supervised


def rows(count=6, seed=0):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


class Counting(nn.Linear):
    calls = 0

    def forward(self, x):
        Counting.calls += 1
        return super().forward(x)


@pytest.fixture
def pair():
    torch.manual_seed(0)
    x = rows()
    a = Task("a", Multiclass(2), Labelled(x, torch.arange(6) % 2))
    b = Task("b", Regression(), Labelled(x, torch.arange(6.0)))
    Counting.calls = 0
    return a, b, Net(Counting(3, 4), {"a": nn.Linear(4, 2), "b": nn.Linear(4, 1)})


def test_supervised_gives_each_task_its_own_loss(pair):
    a, b, net = pair
    losses = Supervised(a, b)(net, {"a": a.train, "b": b.train}, 0.0)
    assert list(losses) == ["a", "b"]
    torch.testing.assert_close(losses["a"], nn.functional.cross_entropy(net(a.train.x, "a"), a.train.y))
    torch.testing.assert_close(losses["b"], (net(b.train.x, "b")[:, 0] - b.train.y).square().mean())


def test_supervised_passes_shared_rows_once_and_others_apart(pair):
    a, b, net = pair
    Supervised(a, b)(net, {"a": a.train, "b": b.train}, 0.0)
    assert Counting.calls == 1
    Supervised(a, b)(net, {"a": a.train, "b": Labelled(rows(seed=1), b.train.y)}, 0.0)
    assert Counting.calls == 3


def test_supervised_asks_a_trunk_for_each_tasks_features(pair):
    a, b, _ = pair
    asked = []

    class Asks(Trunk):
        def forward(self, x, task):
            asked.append(task)
            return x

    net = Net(Asks(), {"a": nn.Linear(3, 2), "b": nn.Linear(3, 1)})
    Supervised(a, b)(net, {"a": a.train, "b": b.train}, 0.0)
    assert asked == ["a", "b"]


def test_absent_tasks_and_tasks_without_labels_give_no_entry(pair):
    a, b, net = pair
    none = Labelled(a.train.x, torch.full((6,), -100))
    assert list(Supervised(a, b)(net, {"b": b.train}, 0.0)) == ["b"]
    assert list(Supervised(a, b)(net, {"a": none, "b": b.train}, 0.0)) == ["b"]
    assert Supervised(a, b)(net, {}, 0.0) == {}


def test_a_row_without_a_label_adds_nothing(pair):
    a, _, net = pair
    holes = torch.tensor([0, 1, -100, 1, -100, -100])
    full = Supervised(a)(net, {"a": a.train.take(torch.tensor([0, 1, 3]))}, 0.0)["a"]
    torch.testing.assert_close(Supervised(a)(net, {"a": Labelled(a.train.x, holes)}, 0.0)["a"], full)


def test_supervised_says_what_is_wrong(pair):
    a, _, net = pair
    with pytest.raises(ValueError, match=r"`tasks` should be at least one task, with distinct names"):
        Supervised()
    with pytest.raises(ValueError, match=r"distinct names; found \['a', 'a'\]"):
        Supervised(a, a)
    with pytest.raises(TypeError, match=r"labelled rows by task name; found Shift"):
        Supervised(a)(net, Shift(a.train, Inputs(rows())), 0.0)
    other = Task("other", Binary(), Labelled(rows(), torch.ones(6)))
    with pytest.raises(KeyError, match=r"found \"other\""):
        Supervised(other)(net, {"other": other.train}, 0.0)


def test_plus_gives_all_losses_and_refuses_two_of_one_name(pair):
    a, b, net = pair
    batch = {"a": a.train, "b": b.train}
    both = Plus(Supervised(a), Supervised(b), L2SP(net, weight=1.0))
    assert list(both(net, batch, 0.0)) == ["a", "b", "l2sp"]
    with pytest.raises(ValueError, match=r"found \['a'\] from two objectives"):
        Plus(Supervised(a), Supervised(a))(net, batch, 0.0)
    with pytest.raises(ValueError, match="at least one; found none"):
        Plus()


def test_plus_holds_what_its_parts_learned(pair):
    a, _, net = pair
    plus = Plus(Supervised(a), L2SP(net, weight=1.0))
    assert "learned.0.start0" in plus.state_dict()
    twin = copy.deepcopy(plus)
    twin.load_state_dict({k: v + 1 for k, v in plus.state_dict().items()})
    assert twin(net, {"a": a.train}, 0.0)["l2sp"] > 0  # the copy's part is the copy's own
    assert plus(net, {"a": a.train}, 0.0)["l2sp"] == 0


def test_l2sp_is_half_the_squared_way_from_the_start(pair):
    *_, net = pair
    near = L2SP(net, weight=0.4, head_weight=0.2)
    assert near(net, None, 0.0)["l2sp"] == 0
    start = [p.detach().clone() for p in net.backbone.parameters()]
    with torch.no_grad():
        for p in net.backbone.parameters():
            p.add_(torch.randn_like(p))
    losses = near(net, None, 0.5)
    way = sum((p - s).square().sum() for p, s in zip(net.backbone.parameters(), start, strict=True))
    torch.testing.assert_close(losses["l2sp"], 0.2 * way)
    torch.testing.assert_close(losses["l2"], 0.1 * sum(p.square().sum() for p in net.heads.parameters()))
    losses["l2sp"].backward()
    torch.testing.assert_close(net.backbone.weight.grad, 0.4 * (net.backbone.weight - start[0]).detach())


def test_l2sp_start_is_saved_and_moved(pair):
    *_, net = pair
    near = L2SP(net, weight=1.0)
    with torch.no_grad():
        net.backbone.bias.add_(1)
    late = L2SP(net, weight=1.0)
    late.load_state_dict(near.state_dict())
    assert late(net, None, 0.0) == near(net, None, 0.0)
    assert pickle.loads(pickle.dumps(near))(net, None, 0.0) == near(net, None, 0.0)
    assert near.double().start0.dtype == torch.float64


def test_l2sp_of_a_frozen_backbone_is_nothing(pair):
    *_, net = pair
    near = L2SP(net, weight=1.0)
    freeze(net.backbone)
    loss = near(net, None, 0.0)["l2sp"]
    assert loss == 0
    assert not loss.requires_grad
    assert near.double()(net.double(), None, 0.0)["l2sp"].dtype == torch.float64


def test_l2sp_says_what_is_wrong(pair):
    *_, net = pair
    with pytest.raises(ValueError, match="`head_weight` should be at least 0 and finite; found -1"):
        L2SP(net, weight=1.0, head_weight=-1)
    with pytest.raises(
        ValueError, match=r"the parameters of the start; found other \['0\.bias', '0\.weight'"
    ):
        L2SP(net, weight=1.0)(Net(nn.Sequential(nn.Linear(3, 4)), {}), None, 0.0)
