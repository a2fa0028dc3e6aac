import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.tasks import Labelled, Multiclass, Regression, Task
from headstart.testing import check_objective
from headstart.transfer import CoTuning, Supervised, relation

RELATED = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.1, 0.9]])


def posed(y):
    torch.manual_seed(0)
    rows = Labelled(torch.randn(len(y), 3), torch.tensor(y))
    net = Net(nn.Linear(3, 4), {"new": nn.Linear(4, 2), "old": nn.Linear(4, 3)})
    return Task("new", Multiclass(2), rows), {"new": rows}, net


def test_the_relation_is_the_mean_of_what_is_said_of_a_class():
    p = torch.rand(9, 4, generator=torch.Generator().manual_seed(0)).softmax(1)
    y = torch.tensor([0, 2, 2, -100, 0, 2, 0, 0, 2])
    found = relation(p, y, 4)
    torch.testing.assert_close(found[0], p[[0, 4, 6, 7]].mean(0))
    torch.testing.assert_close(found[2], p[[1, 2, 5, 8]].mean(0))
    torch.testing.assert_close(found[[1, 3]], torch.full((2, 4), 0.25))
    torch.testing.assert_close(found.sum(1), torch.ones(4))


def test_the_loss_is_that_of_the_formula():
    task, batch, net = posed([0, 1, 1, -100])
    told = CoTuning(task, "old", RELATED, weight=0.5)(net, batch, 0.0)
    torch.testing.assert_close(told["new"], Supervised(task)(net, batch, 0.0)["new"])
    logs = net(batch["new"].x, "old").softmax(1).log()
    by_hand = -sum((RELATED[c] * logs[i]).sum() for i, c in enumerate([0, 1, 1])) / 3
    torch.testing.assert_close(told["cotuning"], 0.5 * by_hand)
    assert CoTuning(task, "old", RELATED)(net, {}, 0.0) == {}
    check_objective(CoTuning(task, "old", RELATED), net, batch)


def test_the_source_s_head_comes_to_say_the_relation():
    task, batch, net = posed([0, 1] * 10)
    batch["new"] = Labelled(torch.eye(2).repeat(10, 1) @ torch.randn(2, 3), batch["new"].y)
    loss, optimizer = CoTuning(task, "old", RELATED), torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        sum(loss(net, batch, 0.0).values()).backward()
        optimizer.step()
    said = net(batch["new"].x[:2], "old").softmax(1)
    torch.testing.assert_close(said, RELATED, atol=0.03, rtol=0)
    assert (net(batch["new"].x, "new").argmax(1) == batch["new"].y).all()


def test_what_is_asked_for_wrongly_is_told():
    task, _, _ = posed([0, 1])
    with pytest.raises(ValueError, match="`weight` should be at least 0 and finite; found -1"):
        CoTuning(task, "old", RELATED, -1)
    with pytest.raises(ValueError, match=r"a row for each of the 2 classes; found shape \(3, 3\)"):
        CoTuning(task, "old", torch.eye(3))
    numbers = Task("new", Regression(), Labelled(torch.zeros(2, 3), torch.zeros(2)))
    with pytest.raises(ValueError, match="task 'new' should be one class per row"):
        CoTuning(numbers, "old", RELATED)
    with pytest.raises(
        ValueError, match=r"one row that sums to 1 for each of `y`; found \(2, 2\) for 2 rows"
    ):
        relation(torch.ones(2, 2), torch.tensor([0, 1]), 2)
