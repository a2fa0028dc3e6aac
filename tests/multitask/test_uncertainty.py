import numpy as np
import pytest
import torch

from headstart.multitask import PerTask, Uncertainty, weighted
from headstart.testing import assert_absent_adds_nothing

from .problems import losses_of, make


def test_uncertainty_is_its_formula():
    weighing = Uncertainty(["a", "b"], regression=["b"])
    with torch.no_grad():
        weighing.log_variance.copy_(torch.tensor([0.5, -1.0]))
    losses = torch.tensor([2.0, 3.0])
    expected = 2 * np.exp(-0.5) + 0.25 + 0.5 * 3 * np.exp(1.0) - 0.5
    assert weighing(losses).item() == pytest.approx(expected, rel=1e-6)


def test_uncertainty_learns_the_noise_of_each_task():
    weighing = Uncertainty(["a", "b"], regression=["b"])
    optimizer = torch.optim.Adam(weighing.parameters(), 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        weighing(torch.tensor([0.5, 4.0])).backward()
        optimizer.step()
    torch.testing.assert_close(weighing.log_variance.exp(), torch.tensor([1.0, 4.0]), rtol=1e-2, atol=0)


def test_absent_tasks_add_nothing_to_uncertainty():
    net, x = make(names=("a", "b"))
    combine = weighted(Uncertainty(["a", "b"]))
    combine({"b": losses_of(net, x, ("a", "b"))["b"]}, net)
    grad = combine.weighing.log_variance.grad
    assert grad[0] == 0
    assert grad[1] != 0
    assert net.heads["a"].weight.grad is None
    assert net.backbone[0].weight.grad.isfinite().all()
    assert combine.weighing(torch.tensor([torch.nan, torch.nan])) == 0
    assert_absent_adds_nothing(Uncertainty(["a", "b", "c"], regression=["b"]), torch.tensor([0.5, 2.0, 1.0]))


def test_uncertainty_says_what_is_wrong():
    net, x = make()
    with pytest.raises(ValueError, match="at least one, all distinct"):
        Uncertainty([])
    with pytest.raises(KeyError, match='did you mean "depth"'):
        Uncertainty(["depth"], regression=["dept"])
    with pytest.raises(ValueError, match=r"`losses` should be \(2,\)"):
        Uncertainty(["a", "b"])(torch.ones(3))
    with pytest.raises(KeyError, match='found "c"'):
        weighted(Uncertainty(["a", "b"]))(losses_of(net, x), net)
    assert issubclass(Uncertainty, PerTask)
