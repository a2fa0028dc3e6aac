import copy

import pytest
import torch
from torch import nn

from headstart.models import Net, conv4
from headstart.tasks import Labelled
from headstart.testing import assert_linear_in_weight
from headstart.transfer import DELTA


@pytest.fixture
def moved():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4))
    start = Net(trunk, {"a": nn.Linear(4, 2)}).double()
    net = copy.deepcopy(start)
    with torch.no_grad():
        for p in net.backbone.parameters():
            p.add_(torch.randn_like(p))
    return start, net, {"a": Labelled(torch.randn(6, 3).double(), torch.zeros(6).long())}


def test_the_penalty_is_that_of_the_formula(moved):
    start, net, batch = moved
    x = batch["a"].x
    first = (net.backbone[0](x) - start.backbone[0](x)).square().sum(1).mean() / 5
    last = (net.backbone(x) - start.backbone(x)).square().sum(1).mean() / 4
    told = DELTA(start, weight=0.3)(net, batch, 0.0)["delta"]
    torch.testing.assert_close(told, 0.15 * (first + 2 * last))  # the last block is the whole's end as well
    assert DELTA(net, weight=0.3)(net, batch, 0.0)["delta"] == 0


def test_the_start_is_not_moved_and_trains_nothing(moved):
    start, net, batch = moved
    near = DELTA(start, weight=1.0)
    before = near(net, batch, 0.0)["delta"].item()
    assert not list(near.parameters())
    with torch.no_grad():
        for p in start.parameters():
            p.zero_()
    assert near.train()(net, batch, 0.0)["delta"].item() == before


def test_statistics_of_the_start_stand_still():
    torch.manual_seed(0)
    net = Net(conv4(1, width=4, size=16), {"a": nn.Linear(4, 2)}).train()
    near = DELTA(net, weight=1.0).train()
    buffers = {n: v.clone() for n, v in near.named_buffers()}
    near(net, {"a": Labelled(torch.randn(4, 1, 16, 16), torch.zeros(4))}, 0.0)
    assert all(torch.equal(v, buffers[n]) for n, v in near.named_buffers())


def test_the_weight_is_a_factor_and_bad_ones_are_told(moved):
    start, net, batch = moved
    assert_linear_in_weight(lambda weight: DELTA(start, weight=weight), net, batch)
    with pytest.raises(ValueError, match="`weight` should be at least 0 and finite; found -1"):
        DELTA(net, weight=-1)
