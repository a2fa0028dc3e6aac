import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from headstart.multitask import cagrad, dualproj
from headstart.testing import (
    assert_non_negative,
    assert_permutation_equivariant,
    assert_scale_invariant,
)

from .problems import F64, jacobian


def dual(gram, c):
    """Lower the dual of the paper, over the simplex, by a general solver: its value is the best gain."""
    g, count = gram.numpy(), len(gram)
    mean = g.mean(0)
    radius = c * np.sqrt(mean.mean())
    best = minimize(
        lambda w: w @ mean + radius * np.sqrt(max(w @ g @ w, 1e-30)),
        np.full(count, 1 / count),
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return best.fun


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10), st.integers(1, 8), st.integers(0, 10_000), st.sampled_from([0.1, 0.4, 0.9]))
def test_the_step_is_in_the_ball_and_as_good_as_the_dual(tasks, width, seed, c):
    rows = jacobian(tasks, width, seed)
    gram, mean = rows @ rows.T, rows.mean(0)
    step = cagrad(gram, c=c) @ rows
    assert (step - mean).norm() <= c * mean.norm() * (1 + 1e-5) + 1e-12
    assert (rows @ step).min() >= dual(gram, c) - 1e-5 * gram.diagonal().max()


@pytest.mark.parametrize("law", [assert_non_negative, assert_permutation_equivariant, assert_scale_invariant])
@pytest.mark.parametrize(("tasks", "width"), [(1, 3), (2, 3), (5, 9), (7, 3)])
def test_laws(law, tasks, width):
    for seed in range(5):
        law(cagrad, jacobian(tasks, width, seed))


def test_without_room_it_is_the_mean():
    rows = jacobian(4)
    torch.testing.assert_close(cagrad(rows @ rows.T, c=0.0), torch.full((4,), 0.25, dtype=F64))


def test_agrees_with_torchjd():
    theirs = pytest.importorskip("torchjd.aggregation")
    pytest.importorskip("cvxpy")
    for seed in range(5):
        rows = jacobian(5, 12, seed)
        expected = theirs.CAGrad(c=0.4, norm_eps=1e-12)(rows)
        torch.testing.assert_close(cagrad(rows @ rows.T, c=0.4) @ rows, expected, rtol=1e-4, atol=1e-4)


def test_where_gradients_cancel_it_goes_against_none():
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.3, 0.4]], dtype=F64)
    step = cagrad(rows @ rows.T, c=0.9) @ rows
    torch.testing.assert_close(step, dualproj(rows @ rows.T) @ rows, rtol=0, atol=1e-4)
    assert (rows @ step).min() > -1e-4


@pytest.mark.parametrize("c", [-0.1, 1.0, float("nan")])
def test_a_ball_out_of_range_is_refused(c):
    with pytest.raises(ValueError, match=r"`c` should be in \[0, 1\)"):
        cagrad(torch.eye(2), c=c)
