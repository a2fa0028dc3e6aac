"""Chains of convolutions: the short way gives what a pass for each task gives, where it is taken."""

import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.multitask import _backward, _graph, backward

NETS = {
    "strided": lambda d: [nn.Conv2d(2, 5, 3, 2), nn.ReLU(), nn.Conv2d(5, 4, 3, 2), nn.ReLU(), nn.Flatten(),
                          nn.Linear(36, d)],
    "pooled": lambda d: [nn.Conv2d(2, 5, 5, padding=2, bias=False), nn.GELU(), nn.MaxPool2d(2),
                         nn.Dropout(0.3), nn.Conv2d(5, 4, 3, dilation=2), nn.Tanh(), nn.AdaptiveAvgPool2d(2),
                         nn.Flatten(), nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, d), nn.ReLU()],
    "oblong": lambda d: [nn.Conv2d(2, 5, (3, 5), (1, 2), (2, 1)), nn.ReLU(), nn.Conv2d(5, d, 3),
                         nn.AvgPool2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
    "first frozen": lambda d: [nn.Conv2d(2, 5, 3, 2).requires_grad_(False), nn.ReLU(), nn.Conv2d(5, d, 3),
                               nn.AdaptiveAvgPool2d(1), nn.Flatten()],
}  # fmt: skip
OTHERS = {
    "norms": [nn.Conv2d(2, 5, 3, 2), nn.BatchNorm2d(5), nn.Conv2d(5, 4, 3), nn.AdaptiveAvgPool2d(1),
              nn.Flatten()],
    "groups": [nn.Conv2d(2, 4, 3, groups=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
}  # fmt: skip


def problem(layers, tasks, width):
    torch.manual_seed(0)
    net = Net(nn.Sequential(*layers), {f"t{k}": nn.Linear(width, 3) for k in range(tasks)}).double()
    x, y = torch.randn(6, 2, 15, 15, dtype=torch.float64), torch.randint(0, 3, (6, tasks))

    def losses():
        torch.manual_seed(1)  # of dropout
        z = net.features(x)
        return {n: nn.functional.cross_entropy(h(z), y[:, k]) for k, (n, h) in enumerate(net.heads.items())}

    return net, losses


def step(net, losses):
    """Take one step's gradients; give the Gramian and all gradients."""
    seen = []

    def weighing(gramian):
        seen.append(gramian.clone())
        return torch.arange(1.0, len(gramian) + 1, dtype=gramian.dtype)

    net.zero_grad()
    backward(weighing)(losses(), net)
    return seen[0], {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("tasks", "width"), [(7, 3), (3, 5)])
def test_the_short_way_gives_what_a_pass_for_each_task_gives(name, tasks, width, monkeypatch):
    net, losses = problem(NETS[name](width), tasks, width)
    graph = _graph.read(list(losses().values()), list(net.shared().values()))
    assert graph.chain is not None
    gramian, found = step(net, losses)
    monkeypatch.setattr(_backward, "_large", lambda shared: False)
    slow, expected = step(net, losses)
    torch.testing.assert_close(gramian, slow, rtol=0, atol=1e-12 * float(slow.max()))
    assert found.keys() == expected.keys()
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", OTHERS)
def test_other_nets_go_the_ordinary_way(name):
    net, losses = problem(OTHERS[name], 3, 4)
    assert _graph.read(list(losses().values()), list(net.shared().values())).chain is None
    gramian, _ = step(net, losses)
    assert (gramian.diagonal() > 0).all()


def test_two_ways_to_the_weights_are_no_chain():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)

        def forward(self, x):
            return (self.one(x) + self.other(x).relu()).mean((2, 3))

    net, losses = problem([Twice()], 3, 3)
    assert _graph.read(list(losses().values()), list(net.shared().values())).chain is None


def test_gradients_add_to_what_is_there():
    net, losses = problem(NETS["strided"](3), 4, 3)
    _, once = step(net, losses)
    once = {name: value.clone() for name, value in once.items()}
    backward(lambda gramian: torch.arange(1.0, 5, dtype=gramian.dtype))(losses(), net)
    for name, p in net.named_parameters():
        torch.testing.assert_close(p.grad, 2 * once[name])
