import pytest
import torch
from torch import nn

from headstart.models import Net
from headstart.tasks import Labelled
from headstart.testing import assert_linear_in_weight
from headstart.transfer import BSS


def posed(rows, width):
    torch.manual_seed(0)
    net = Net(nn.Linear(3, width), {"a": nn.Linear(width, 2)}).double()
    return net, {"a": Labelled(torch.randn(rows, 3).double(), torch.zeros(rows).long())}


@pytest.mark.parametrize(("rows", "width"), [(5, 8), (8, 3), (3, 3)])
@pytest.mark.parametrize("smallest", [1, 2])
def test_the_penalty_is_that_of_the_smallest_singular_values(rows, width, smallest):
    net, batch = posed(rows, width)
    values = torch.linalg.svdvals(net.features(batch["a"].x))
    expected = 0.5 * values[-smallest:].square().sum()
    told = BSS(0.5, smallest)(net, batch, 0.0)["bss"]
    torch.testing.assert_close(told, expected)
    mine, theirs = (torch.autograd.grad(loss, net.backbone.weight)[0] for loss in (told, expected))
    torch.testing.assert_close(mine, theirs)


def test_equal_singular_values_have_a_finite_gradient():
    net = Net(nn.Linear(2, 2, bias=False), {"a": nn.Linear(2, 1)})
    nn.init.eye_(net.backbone.weight)
    rows = Labelled(torch.eye(2), torch.zeros(2))
    BSS(1.0)(net, {"a": rows}, 0.0)["bss"].backward()
    assert net.backbone.weight.grad.isfinite().all()


def test_rows_that_tasks_share_count_once():
    net, batch = posed(5, 8)
    twice = {"a": batch["a"], "b": Labelled(batch["a"].x, torch.ones(5))}
    assert BSS()(net, twice, 0.0) == BSS()(net, batch, 0.0)


def test_the_weight_is_a_factor_and_bad_numbers_are_told():
    net, batch = posed(5, 8)
    assert_linear_in_weight(lambda weight: BSS(weight), net, batch)
    with pytest.raises(ValueError, match="`weight` should be at least 0 and finite; found -1"):
        BSS(-1)
    with pytest.raises(ValueError, match="`smallest` should be at least 1; found 0"):
        BSS(smallest=0)
