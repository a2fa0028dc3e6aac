import pytest
import torch
from torch import nn

from headstart.models import Net, Trunk
from headstart.tasks import Binary, Inputs, Labelled, Multiclass, Regression, Shift, Task
from headstart.transfer import Supervised

from .problems import Counting, rows


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
    with pytest.raises(TypeError, match=r"one after another; found a list of them; Supervised\(\*tasks\)"):
        Supervised([a])
    with pytest.raises(ValueError, match=r"distinct names; found \['a', 'a'\]"):
        Supervised(a, a)
    with pytest.raises(TypeError, match=r"labelled rows by task name; found Shift"):
        Supervised(a)(net, Shift(a.train, Inputs(rows())), 0.0)
    other = Task("other", Binary(), Labelled(rows(), torch.ones(6)))
    with pytest.raises(KeyError, match=r"found \"other\""):
        Supervised(other)(net, {"other": other.train}, 0.0)


@pytest.mark.parametrize("norm", [False, True])
def test_rows_of_several_tables_go_through_at_once_where_each_is_treated_by_itself(norm):
    torch.manual_seed(0)
    layers = [nn.Linear(3, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Tanh(), nn.Linear(8, 4)]
    net = Net(nn.Sequential(*layers), {"a": nn.Linear(4, 2), "b": nn.Linear(4, 1)})
    a = Task("a", Multiclass(2), Labelled(torch.randn(6, 3), torch.arange(6) % 2))
    b = Task("b", Regression(), Labelled(torch.randn(5, 3), torch.randn(5)))
    seen = []
    net.backbone[0].register_forward_hook(lambda module, given, result: seen.append(len(result)))
    both = Supervised(a, b)(net, {"a": a.train, "b": b.train}, 0.0)
    assert seen == ([6, 5] if norm else [11])
    for task in (a, b):
        alone = Supervised(task)(net, {task.name: task.train}, 0.0)
        torch.testing.assert_close(both[task.name], alone[task.name])
