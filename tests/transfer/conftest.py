import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.tasks import Labelled, Multiclass, Regression, Task

from .problems import Counting, rows


@pytest.fixture
def pair():
    torch.manual_seed(0)
    x = rows()
    a = Task("a", Multiclass(2), Labelled(x, torch.arange(6) % 2))
    b = Task("b", Regression(), Labelled(x, torch.arange(6.0)))
    Counting.calls = 0
    return a, b, Net(Counting(3, 4), {"a": nn.Linear(4, 2), "b": nn.Linear(4, 1)})
