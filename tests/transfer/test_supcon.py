import math

import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.tasks import Labelled, Multiclass, Regression, Task
from headstart.transfer import SupCon

NET = Net(nn.Identity(), {"a": nn.Linear(3, 2)}).double()


def posed(y, seed=0):
    x = torch.randn(len(y), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows = Labelled(x, torch.tensor(y))
    return Task("a", Multiclass(4), rows), {"a": rows}


def plain(x, y, temperature):
    """Equation 2 of the paper, term by term; rows without a positive are no anchors."""
    z = [row / row.norm() for row in x]
    said = lambda i, j: float(z[i] @ z[j]) / temperature  # noqa: E731
    found = []
    for i in range(len(y)):
        positives = [p for p in range(len(y)) if p != i and y[p] == y[i]]
        below = sum(math.exp(said(i, a)) for a in range(len(y)) if a != i)
        if positives:
            found.append(-sum(math.log(math.exp(said(i, p)) / below) for p in positives) / len(positives))
    return sum(found) / len(found)


@pytest.mark.parametrize("y", [[0, 0], [0, 1, 0, 1], [0, 1, 2, 0, 0, 3, 1]])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_loss_is_that_of_the_paper(y, temperature):
    task, batch = posed(y)
    told = SupCon(task, temperature)(NET, batch, 0.0)["a"]
    assert told.item() == pytest.approx(plain(batch["a"].x, y, temperature), rel=1e-12)


def test_rows_without_a_label_or_another_of_their_class_give_nothing():
    task, batch = posed([0, 1, -100])
    assert SupCon(task)(NET, batch, 0.0) == {} == SupCon(task)(NET, {}, 0.0)
    more, both = posed([0, 1, -100, 0])
    x, y = both["a"].x[[0, 1, 3]], torch.tensor([0, 1, 0])
    kept = SupCon(more)(NET, {"a": Labelled(x, y)}, 0.0)
    assert SupCon(more)(NET, both, 0.0) == kept


def test_a_step_brings_rows_of_a_class_together():
    task, batch = posed([0, 1, 0, 1, 2, 2])
    net = Net(nn.Linear(3, 3), {"a": nn.Linear(3, 2)}).double()
    optimizer = torch.optim.SGD(net.backbone.parameters(), 0.1)
    losses = []
    for _ in range(30):
        loss = SupCon(task)(net, batch, 0.0)["a"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_what_is_asked_for_wrongly_is_told():
    task, _ = posed([0, 1])
    with pytest.raises(ValueError, match="`temperature` should be above 0 and finite; found 0"):
        SupCon(task, 0)
    numbers = Task("a", Regression(), Labelled(torch.zeros(2, 3), torch.zeros(2)))
    with pytest.raises(ValueError, match="task 'a' should be one class per row"):
        SupCon(numbers)
