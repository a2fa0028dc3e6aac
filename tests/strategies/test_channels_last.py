"""Convolutions train with their channels last where the backbone says that it takes that; nowhere else."""

import pytest
import torch
from torch import nn

from headstart.comparison import Problem
from headstart.models import cut, cuts
from headstart.models.net import Net
from headstart.strategies import STRATEGIES, Budget, Trial
from headstart.strategies import trial as trials
from headstart.strategies.trial import channels_last
from headstart.tasks import Labelled, Multiclass, Task

ROWS = Labelled(torch.randn(24, 1, 14, 14, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3)
TASK = Task("new", Multiclass(3), ROWS, test=ROWS)


class Viewing(nn.Module):
    """A user's own net, which needs maps as they usually are."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3)

    def forward(self, x):
        z = self.layer(x)
        return z.view(len(z), -1)


def trained(backbone):
    problem = Problem(TASK, backbone=backbone, budget=Budget(steps=5, options=1))
    return STRATEGIES["scratch"].learn(Trial(problem, {"lr": 1e-3}, 0))


def test_kernels_lie_as_before_when_training_is_over():
    net = trained("conv4").net
    assert all(p.is_contiguous() for p in net.parameters())
    with channels_last(net):
        assert not any(kernel.is_contiguous() for kernel in kernels(net))
    part = Net(cut(net.backbone, cuts(net.backbone)[1], torch.zeros(1, 1, 14, 14)), {})
    with channels_last(part):
        assert not any(kernel.is_contiguous() for kernel in kernels(part))


def kernels(net):
    found = [p for p in net.parameters() if p.ndim == 4 and p.shape[1] > 1]
    assert found
    return found


def test_training_differs_by_rounding_alone(monkeypatch):
    last = trained("conv4")
    monkeypatch.setattr(trials, "channels_last", lambda net: trials.nullcontext())
    usual = trained("conv4")
    for name, losses in usual.curves.items():
        assert last.curves[name] == pytest.approx(losses, rel=1e-4)


def test_a_net_of_the_user_is_left_as_it_is():
    net = trained(Viewing()).net
    with channels_last(net):
        assert net.backbone.layer.weight.is_contiguous()
