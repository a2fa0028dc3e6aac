import copy

import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.transfer import soup, task_arithmetic


def moved(net, seed):
    g, other = torch.Generator().manual_seed(seed), copy.deepcopy(net)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(torch.randn(p.shape, generator=g, dtype=p.dtype))
    return other


@pytest.fixture
def start():
    torch.manual_seed(0)
    return Net(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), {"a": nn.Linear(4, 2)}).double()


def test_a_soup_is_the_mean_of_all_weights_and_of_equal_nets_each_of_them(start):
    nets = [moved(start, seed) for seed in range(3)]
    for name, value in soup(nets).state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, sum(n.state_dict()[name] for n in nets) / 3)
    same = soup([start, copy.deepcopy(start)]).state_dict()
    assert all(torch.equal(same[name], value) for name, value in start.state_dict().items())


def test_task_vectors_add_up_and_heads_are_kept_apart(start):
    a, b = moved(start, 1), moved(start, 2)
    b = Net(b.backbone, {"b": nn.Linear(4, 3)}).double()
    made = task_arithmetic(start, [a, b], 0.4)
    for p, s, one, two in zip(*(n.backbone.parameters() for n in (made, start, a, b)), strict=True):
        torch.testing.assert_close(p, s + 0.4 * (one - s) + 0.4 * (two - s))
    assert torch.equal(made.heads["a"].weight, a.heads["a"].weight)
    assert torch.equal(made.heads["b"].weight, b.heads["b"].weight)
    assert made.heads["a"] is not a.heads["a"]
    x = torch.randn(5, 3, dtype=torch.float64)
    whole = task_arithmetic(start, [a], 1.0).eval()  # all of one task's vector is its net
    torch.testing.assert_close(whole(x, "a"), a.eval()(x, "a"))


def test_what_cannot_be_merged_is_told(start):
    with pytest.raises(ValueError, match="`nets` should be two or more; found 1"):
        soup([start])
    other = Net(nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)), {"a": nn.Linear(5, 2)})
    with pytest.raises(ValueError, match="weights of a net should be those of the first; found other"):
        soup([start, other])
    with pytest.raises(ValueError, match="backbone of a tuned net should be that of the start"):
        task_arithmetic(start, [other])
    with pytest.raises(ValueError, match=r"of different names; found \['a', 'a'\]"):
        task_arithmetic(start, [start, start])
    with pytest.raises(ValueError, match="`tuned` should be at least one net; found none"):
        task_arithmetic(start, [])
    with pytest.raises(ValueError, match="`scale` should be finite; found nan"):
        task_arithmetic(start, [start], float("nan"))
