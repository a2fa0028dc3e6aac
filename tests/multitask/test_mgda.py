import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torchjd.aggregation import MGDA

from headstart.multitask import mgda
from headstart.testing import (
    assert_no_conflict,
    assert_non_negative,
    assert_permutation_equivariant,
    assert_scale_invariant,
    assert_sum_to_one,
)

from .problems import F64, jacobian


def shortest(gram):
    """Solve the quadratic program by a general solver."""
    g = gram.numpy() / gram.diagonal().max().item()
    count = len(g)
    best = minimize(
        lambda a: a @ g @ a,
        np.full(count, 1 / count),
        jac=lambda a: 2 * g @ a,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": lambda a: np.ones(count)},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return best.fun * gram.diagonal().max().item()


@pytest.mark.parametrize("seed", range(10))
def test_mgda_of_two_is_the_closed_form(seed):
    rows = jacobian(2, 3, seed) * torch.tensor([[1.0], [3.0]])
    a, b = rows
    first = ((b - a) @ b / (a - b).square().sum()).clamp(0, 1)
    torch.testing.assert_close(mgda(rows @ rows.T), torch.stack([first, 1 - first]), rtol=0, atol=1e-12)


LAWS = [
    assert_no_conflict,
    assert_non_negative,
    assert_permutation_equivariant,
    assert_scale_invariant,
    assert_sum_to_one,
]


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 10_000), st.booleans())
def test_mgda_is_the_shortest_point_of_the_hull(tasks, width, seed, offset):
    rows = jacobian(tasks, width, seed) + 1.5 * offset
    gram = rows @ rows.T
    alpha = mgda(gram)
    for law in LAWS:
        law(mgda, rows)
    # Optimality: no gradient has a smaller product with the point than the point itself.
    slope = gram @ alpha
    assert slope.min() >= alpha @ slope - 1e-12 * gram.diagonal().max()


@pytest.mark.parametrize("tasks", [3, 5, 8])
def test_mgda_agrees_with_a_general_solver_and_torchjd(tasks):
    for seed in range(3):
        rows = jacobian(tasks, 10, seed) + 0.5
        gram = rows @ rows.T
        alpha = mgda(gram)
        value = (alpha @ gram @ alpha).item()
        assert value == pytest.approx(shortest(gram), rel=1e-6)
        theirs = MGDA(epsilon=1e-8, max_iters=5000)(rows)
        assert value <= theirs.square().sum().item() * (1 + 1e-9)
        torch.testing.assert_close(alpha @ rows, theirs, rtol=0, atol=0.05)


def test_tiny_gradients_keep_the_shortest_point_exact():
    rows = torch.tensor([[1.0, 0.0], [0.0, 1e-6]], dtype=F64)
    alpha = mgda(rows @ rows.T)
    assert alpha[0].item() == pytest.approx(1e-12, rel=1e-3)


@pytest.mark.parametrize("width", [1, 3, 10])
def test_mgda_of_dependent_gradients_in_single_precision_ends_early(width, monkeypatch):
    calls = []
    monkeypatch.setattr(np.linalg, "lstsq", lambda *a, f=np.linalg.lstsq, **k: calls.append(1) or f(*a, **k))
    for seed in range(10):
        rows = jacobian(20, width, seed)
        single = rows.float()
        alpha = mgda(single @ single.T).double()
        slope = rows @ (alpha @ rows)
        assert slope.min() >= slope @ alpha - 1e-5 * rows.square().sum(1).max()
    assert len(calls) < 10 * 80  # rounding made it go in circles, 4000 times each
