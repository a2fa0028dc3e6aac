import math

import pytest
import torch
from torch import nn

from headstart.multitask import GradVac, backward, pcgrad
from headstart.testing import assert_scale_invariant

from .problems import F64, jacobian, losses_of, make

NAMES = ("a", "b", "c")


def vaccinated(rows, means, beta):
    """Algorithm 1 of the paper, in parameter space, the others in order."""
    total = torch.zeros_like(rows[0])
    for i in range(len(rows)):
        own = rows[i].clone()
        for j in range(len(rows)):
            if j == i:
                continue
            phi = (own @ rows[j] / own.norm() / rows[j].norm()).item()
            if phi < (hat := means[i][j]):
                other = math.sqrt(1 - hat**2)
                own = (
                    own
                    + own.norm()
                    * (hat * math.sqrt(1 - phi**2) - phi * other)
                    / (rows[j].norm() * other)
                    * rows[j]
                )
            means[i][j] = (1 - beta) * means[i][j] + beta * phi
        total += own
    return total


@pytest.mark.parametrize("beta", [0.0, 0.01, 0.5])
def test_gradvac_equals_the_algorithm_in_parameter_space(beta):
    weighing, means = GradVac(NAMES, beta=beta), [[0.0] * 3 for _ in range(3)]
    for seed in range(6):
        rows = jacobian(3, seed=seed) + 0.3
        torch.testing.assert_close(weighing(rows @ rows.T) @ rows, vaccinated(rows, means, beta))
    torch.testing.assert_close(weighing.cosines, torch.tensor(means, dtype=F64))


def test_at_first_it_is_pcgrad():
    rows = jacobian(3, seed=4)
    torch.testing.assert_close(GradVac(NAMES)(rows @ rows.T), pcgrad(rows @ rows.T))


def test_a_pair_that_agreed_is_turned_until_it_agrees_again():
    weighing = GradVac(["a", "b"], beta=1.0)
    weighing(torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=F64))
    rows = torch.eye(2, dtype=F64)
    first = torch.tensor([1.0, 0.8 / 0.6], dtype=F64) @ rows
    assert (first @ rows[1] / first.norm()).item() == pytest.approx(0.8)
    torch.testing.assert_close(weighing(rows @ rows.T), torch.full((2,), 1 + 0.8 / 0.6, dtype=F64))


def test_absent_tasks_and_zero_gradients_leave_the_means():
    net, x = make()
    combine = backward(GradVac(NAMES, beta=0.5))
    combine({k: v for k, v in losses_of(net, x).items() if k != "b"}, net)
    means = combine.weighing.cosines
    assert means[0, 2] != 0
    assert (means[1] == 0).all()
    assert (means[:, 1] == 0).all()
    with pytest.raises(KeyError, match='found "d"'):
        combine(losses_of(net, x) | {"d": net(x, "a").sum()}, net)


def test_its_means_are_part_of_a_checkpoint():
    net, x = make()
    combine = backward(GradVac(NAMES, beta=0.5))
    combine(losses_of(net, x), net)
    again = backward(GradVac(NAMES, beta=0.5))
    again.load_state_dict(combine.state_dict())
    assert torch.equal(again.weighing.cosines, combine.weighing.cosines)
    assert isinstance(combine, nn.Module)


def test_laws():
    for seed in range(5):
        assert_scale_invariant(GradVac(NAMES), jacobian(3, seed=seed))


def test_gradvac_agrees_with_torchjd_for_two():
    theirs = pytest.importorskip("torchjd.aggregation").GradVac(beta=0.5)
    ours = GradVac(["a", "b"], beta=0.5)
    for seed in range(4):
        rows = jacobian(2, seed=seed) + 0.2
        with torch.random.fork_rng():
            expected = theirs(rows)
        torch.testing.assert_close(ours(rows @ rows.T) @ rows, expected, rtol=1e-6, atol=1e-6)


def test_gradvac_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"`beta` should be in \[0, 1\]; found 2"):
        GradVac(["a"], beta=2)
    with pytest.raises(ValueError, match="at least one, all distinct"):
        GradVac(["a", "a"])
    with pytest.raises(ValueError, match=r"`gramian` should be \(2, 2\); found \(3, 3\)"):
        GradVac(["a", "b"])(torch.eye(3))
