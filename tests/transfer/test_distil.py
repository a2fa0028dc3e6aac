import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.tasks import Binary, Labelled, Multiclass, Regression, Task
from headstart.transfer import Distil, Supervised


def posed(kind, y):
    torch.manual_seed(0)
    x = torch.randn(len(y), 3, dtype=torch.float64)
    rows = Labelled(x, torch.tensor(y))
    nets = [Net(nn.Linear(3, 4), {"a": nn.Linear(4, kind.outputs)}).double() for _ in range(2)]
    return Task("a", kind, rows), {"a": rows}, *nets


@pytest.mark.parametrize("kind", [Multiclass(3), Binary()])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_distance_is_that_of_the_formula(kind, temperature):
    y = [0, 1, 1, 0] if kind.outputs > 1 else [0.0, 1.0, 1.0, 0.0]
    task, batch, net, teacher = posed(kind, y)
    told = Distil(task, teacher, temperature, 0.3)(net, batch, 0.0)
    z, v = net(batch["a"].x, "a"), teacher(batch["a"].x, "a")
    if kind.outputs == 1:
        p, q = (torch.stack([-(s / temperature), s * 0], -1).softmax(-1).reshape(-1, 2) for s in (v, z))
    else:
        p, q = ((s / temperature).softmax(1) for s in (v, z))
    apart = (p * (p / q).log()).sum(1).mean() * temperature**2
    torch.testing.assert_close(told["distil"], 0.3 * apart)
    torch.testing.assert_close(told["a"], 0.7 * Supervised(task)(net, batch, 0.0)["a"])


def test_rows_without_labels_learn_from_the_teacher_alone():
    task, batch, net, teacher = posed(Multiclass(3), [-100, -100])
    told = Distil(task, teacher)(net, batch, 0.0)
    assert list(told) == ["distil"]
    assert Distil(task, teacher)(net, {}, 0.0) == {}


def test_a_student_comes_to_say_what_the_teacher_says_and_the_teacher_stays():
    task, batch, net, teacher = posed(Multiclass(3), [-100] * 40)
    before = [p.clone() for p in teacher.parameters()]
    teacher.train()
    loss, optimizer = Distil(task, teacher, weight=1.0), torch.optim.Adam(net.parameters(), 0.05)
    first = loss(net, batch, 0.0)["distil"].item()
    for _ in range(150):
        optimizer.zero_grad()
        loss(net, batch, 0.0)["distil"].backward()
        optimizer.step()
    assert loss(net, batch, 0.0)["distil"].item() < 0.02 * first
    assert all(
        p.grad is None and torch.equal(p, b) for p, b in zip(teacher.parameters(), before, strict=True)
    )
    assert teacher.training


def test_what_is_asked_for_wrongly_is_told():
    task, _, _, teacher = posed(Multiclass(3), [0, 1])
    with pytest.raises(ValueError, match="`temperature` should be above 0 and finite; found 0"):
        Distil(task, teacher, 0)
    with pytest.raises(ValueError, match=r"`weight` should be in \[0, 1\]; found 2"):
        Distil(task, teacher, weight=2)
    with pytest.raises(KeyError, match="head"):
        Distil(task, Net(nn.Identity(), {"b": nn.Linear(3, 3)}))
    numbers = Task("a", Regression(), Labelled(torch.zeros(2, 3), torch.zeros(2)))
    with pytest.raises(ValueError, match="task 'a' should be one class per row"):
        Distil(numbers, teacher)
