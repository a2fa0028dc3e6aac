import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.tasks import Inputs, Labelled, Multiclass, Shift, Task

from .problems import rows


@pytest.fixture
def photos():
    torch.manual_seed(0)
    source = Labelled(rows(), torch.arange(6) % 2)
    task = Task("photos", Multiclass(2), source, unlabelled=Inputs(rows(8, seed=1) + 2))
    net = Net(nn.Sequential(nn.Linear(3, 5), nn.Tanh()), {"photos": nn.Linear(5, 2)}).double()
    return task, net, Shift(source, task.unlabelled)
