"""Small problems that the tests of this room share."""

import torch
from torch import nn

from headstart.models import Net
from headstart.tasks import Labelled, Multiclass, Regression, Task

F64 = torch.float64


def jacobian(tasks, width=6, seed=0):
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=F64)


def make(seed=0, names=("a", "b", "c"), dtype=F64):
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4))
    net = Net(backbone, {n: nn.Linear(4, 1) for n in names}).to(dtype)
    x = torch.randn(8, 3, dtype=dtype)
    return net, x


def losses_of(net, x, names=("a", "b", "c")):
    return {n: (net(x, n)[:, 0] - k).square().mean() for k, n in enumerate(names)}


def flat(tensors):
    return torch.cat([t.flatten() for t in tensors])


def two_tasks():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=g)
    y = torch.where(torch.rand(40, generator=g) < 0.5, torch.arange(40) % 2, -100)
    a = Task("a", Multiclass(2), Labelled(x, y))
    far = torch.where(torch.rand(40, generator=g) < 0.5, x[:, 0], torch.nan)
    return a, Task("b", Regression(), Labelled(x, far)), Task("c", Regression(), Labelled(x + 1, x[:, 1]))
