import copy
import pickle

import pytest
import torch
from torch import nn

from headstart.models import Net, freeze
from headstart.testing import assert_linear_in_weight, assert_trained_by
from headstart.transfer import L2SP


def test_l2sp_is_half_the_squared_way_from_the_start(pair):
    *_, net = pair
    near = L2SP(net, weight=0.4, head_weight=0.2)
    assert near(net, None, 0.0)["l2sp"] == 0
    start = [p.detach().clone() for p in net.backbone.parameters()]
    with torch.no_grad():
        for p in net.backbone.parameters():
            p.add_(torch.randn_like(p))
    losses = near(net, None, 0.5)
    way = sum((p - s).square().sum() for p, s in zip(net.backbone.parameters(), start, strict=True))
    torch.testing.assert_close(losses["l2sp"], 0.2 * way)
    torch.testing.assert_close(losses["l2"], 0.1 * sum(p.square().sum() for p in net.heads.parameters()))
    losses["l2sp"].backward()
    torch.testing.assert_close(net.backbone.weight.grad, 0.4 * (net.backbone.weight - start[0]).detach())


def test_l2sp_start_is_saved_and_moved(pair):
    *_, net = pair
    near = L2SP(net, weight=1.0)
    with torch.no_grad():
        net.backbone.bias.add_(1)
    late = L2SP(net, weight=1.0)
    late.load_state_dict(near.state_dict())
    assert late(net, None, 0.0) == near(net, None, 0.0)
    assert pickle.loads(pickle.dumps(near))(net, None, 0.0) == near(net, None, 0.0)
    assert near.double().start0.dtype == torch.float64


def test_l2sp_of_a_frozen_backbone_is_nothing(pair):
    *_, net = pair
    near = L2SP(net, weight=1.0)
    freeze(net.backbone)
    loss = near(net, None, 0.0)["l2sp"]
    assert loss == 0
    assert not loss.requires_grad
    assert near.double()(net.double(), None, 0.0)["l2sp"].dtype == torch.float64


def test_l2sp_says_what_is_wrong(pair):
    *_, net = pair
    with pytest.raises(ValueError, match="`head_weight` should be at least 0 and finite; found -1"):
        L2SP(net, weight=1.0, head_weight=-1)
    with pytest.raises(
        ValueError, match=r"the parameters of the start; found other \['0\.bias', '0\.weight'"
    ):
        L2SP(net, weight=1.0)(Net(nn.Sequential(nn.Linear(3, 4)), {}), None, 0.0)


def test_the_weight_is_a_factor_and_0_leaves_nothing(pair):
    *_, net = pair
    start = copy.deepcopy(net)
    nn.init.ones_(net.backbone.weight)
    assert_linear_in_weight(lambda weight: L2SP(start, weight=weight), net, None)
    assert_trained_by(L2SP(start, weight=0.0), net, None, [])
