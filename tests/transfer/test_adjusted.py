import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.tasks import Binary, Labelled, Multiclass, Regression, Task
from headstart.testing import check_objective
from headstart.transfer import LogitAdjusted, Supervised


def posed(kind, y):
    torch.manual_seed(0)
    rows = Labelled(torch.randn(len(y), 3, dtype=torch.float64), torch.tensor(y))
    net = Net(nn.Linear(3, 4), {"a": nn.Linear(4, kind.outputs)}).double()
    return Task("a", kind, rows), {"a": rows}, net


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.5])
def test_it_is_the_loss_of_the_formula(strength):
    y = [0, 0, 0, 0, 1, 1, 2, -100]
    task, batch, net = posed(Multiclass(3), y)
    told = LogitAdjusted(task, strength)(net, batch, 0.0)["a"]
    shares = torch.tensor([4 / 7, 2 / 7, 1 / 7], dtype=torch.float64)
    scores = shares**strength * net(batch["a"].x, "a").exp()
    each = -(scores / scores.sum(1, keepdim=True)).log()[torch.arange(7), torch.tensor(y[:7])]
    torch.testing.assert_close(told, each.mean())
    if not strength:
        torch.testing.assert_close(told, Supervised(task)(net, batch, 0.0)["a"])


def test_one_logit_stands_for_the_second_of_two_classes():
    task, batch, net = posed(Binary(), [0.0, 0.0, 0.0, 1.0])
    told = LogitAdjusted(task)(net, batch, 0.0)["a"]
    moved = net(batch["a"].x, "a")[:, 0] + torch.tensor(1 / 3, dtype=torch.float64).log()
    torch.testing.assert_close(
        told, nn.functional.binary_cross_entropy_with_logits(moved, batch["a"].y.double())
    )


def test_a_rare_class_is_answered_where_it_is_as_likely_as_it_would_be_if_common():
    # One number, two normal distributions; 19 in 20 rows are of the first.
    g = torch.Generator().manual_seed(0)
    y = (torch.rand(2000, generator=g) < 0.05).long()
    rows = Labelled(torch.randn(2000, 1, generator=g) + 2 * y[:, None], y)
    task = Task("a", Multiclass(2), rows)
    found = {}
    for name, objective in (("plain", Supervised(task)), ("adjusted", LogitAdjusted(task))):
        net = Net(nn.Identity(), {"a": nn.Linear(1, 2)})
        optimizer = torch.optim.Adam(net.parameters(), 0.1)
        for _ in range(100):
            optimizer.zero_grad()
            objective(net, {"a": rows}, 0.0)["a"].backward()
            optimizer.step()
        x = torch.linspace(-2, 4, 601)[:, None]
        found[name] = x[net(x, "a").argmax(1).argmax()].item()  # from where on the second is the answer
    assert found["adjusted"] == pytest.approx(1, abs=0.15)  # halfway
    assert found["plain"] == pytest.approx(1 + 2.944 / 2, abs=0.3)  # log(19) / 2 further


def test_it_keeps_the_contract():
    task, batch, net = posed(Multiclass(3), [0, 1, 2, 0])
    check_objective(LogitAdjusted(task), net, batch)
    assert LogitAdjusted(task)(net, {}, 0.0) == {}


def test_what_is_asked_for_wrongly_is_told():
    task, _, _ = posed(Multiclass(3), [0, 1])
    with pytest.raises(ValueError, match="`strength` should be at least 0 and finite; found -1"):
        LogitAdjusted(task, -1)
    numbers = Task("a", Regression(), Labelled(torch.zeros(2, 3), torch.zeros(2)))
    with pytest.raises(ValueError, match="task 'a' should be one class per row"):
        LogitAdjusted(numbers)
