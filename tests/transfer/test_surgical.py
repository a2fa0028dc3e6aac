import pytest
import torch
from torch import nn

from headstart.models import Net, freeze
from headstart.transfer import relative_gradients


def loss(net, x, progress):
    return {"a": net(x, "a").square().mean()}


def test_numbers_are_norms_of_gradients_over_norms_of_weights():
    torch.manual_seed(0)
    net = Net(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4)), {"a": nn.Linear(4, 1)}).double()
    one, two = torch.randn(5, 3).double(), torch.randn(5, 3).double()
    told = relative_gradients(net, loss, iter([one, two]))
    ((loss(net, one, 0)["a"] + loss(net, two, 0)["a"]) / 2).backward()
    for place, layer in ((2, net.backbone[0]), (1, net.backbone[2])):
        gradient = torch.cat([p.grad.flatten() for p in layer.parameters()]).norm()
        weight = torch.cat([p.detach().flatten() for p in layer.parameters()]).norm()
        assert told[place] == pytest.approx(float(gradient / weight))


def test_a_net_is_left_as_it_was():
    net = Net(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)), {"a": nn.Linear(4, 1)})
    freeze(net.backbone[0])
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [part.training for part in net.modules()]
    told = relative_gradients(net, loss, [torch.randn(5, 3)])
    assert told[3] > 0  # of the frozen one, too
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert modes == [part.training for part in net.modules()]
    assert [p.requires_grad for p in net.backbone[0].parameters()] == [False, False]
    assert all(p.grad is None for p in net.parameters())


def test_a_backbone_without_blocks_is_refused():
    with pytest.raises(ValueError, match="blocks of the backbone should be at least two"):
        relative_gradients(Net(nn.Linear(3, 4), {"a": nn.Linear(4, 1)}), loss, [torch.randn(5, 3)])
