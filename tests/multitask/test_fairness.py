"""Weighings that share gains fairly: nash, fairgrad, imtl_g, aligned."""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd import aggregation as theirs

from headstart.multitask import aligned, fairgrad, imtl_g, nash
from headstart.testing import (
    assert_factor_invariant,
    assert_no_conflict,
    assert_non_negative,
    assert_permutation_equivariant,
    assert_scale_invariant,
)

from .problems import F64, jacobian


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10), st.integers(0, 10_000), st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_fairgrad_solves_its_equation(tasks, seed, alpha):
    rows = jacobian(tasks, 16, seed) * torch.logspace(-1, 1, tasks, dtype=F64)[:, None]
    w = fairgrad(rows @ rows.T, alpha=alpha)
    assert (w > 0).all()
    torch.testing.assert_close(
        rows @ rows.T @ w * w ** (1 / alpha), torch.ones(tasks, dtype=F64), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("tasks", [1, 2, 5, 10])
def test_nash_maximises_the_product_of_gains_and_has_the_length_of_the_paper(tasks):
    rows = jacobian(tasks, 16, tasks)
    step = nash(rows @ rows.T) @ rows
    assert step.square().sum().item() == pytest.approx(tasks)
    best, generator = (rows @ step).log().sum(), torch.Generator().manual_seed(0)
    for _ in range(50):
        other = step + 0.1 * torch.randn(16, generator=generator, dtype=F64)
        other *= step.norm() / other.norm()
        assert not (rows @ other).log().sum() > best  # NaN where a task loses


def test_nash_does_not_see_factors_of_losses():
    rows = jacobian(4, 9)
    factors = torch.tensor([1e-6, 1.0, 1e3, 1e6], dtype=F64)[:, None]
    scaled = factors * rows
    torch.testing.assert_close(nash(scaled @ scaled.T) @ scaled, nash(rows @ rows.T) @ rows)


def test_imtl_g_goes_equally_far_along_each_gradient():
    for seed in range(10):
        rows = jacobian(5, 9, seed) * torch.logspace(-2, 2, 5, dtype=F64)[:, None]
        gains = rows @ (imtl_g(rows @ rows.T) @ rows) / rows.norm(dim=1)
        assert (gains > 0).all()
        torch.testing.assert_close(gains, gains.mean().expand(5), rtol=1e-6, atol=0)


def test_imtl_g_never_turns_the_step_around():
    found = 0
    for seed in range(200):
        rows = jacobian(3, 3, seed) * torch.tensor([[1e-2], [1.0], [1.0]], dtype=F64)
        weights = imtl_g(rows @ rows.T)
        assert_no_conflict(imtl_g, rows)
        found += weights.sum().item() < 0  # the paper divides by this
    assert found > 0


def test_aligned_gives_every_component_the_same_strength():
    rows = jacobian(4, 9)
    gram = rows @ rows.T
    values, vectors = torch.linalg.eigh(gram)
    turned = values[0].sqrt() * vectors @ (vectors / values.sqrt()).T @ rows  # orthogonal, equally long
    torch.testing.assert_close(turned @ turned.T, values[0] * torch.eye(4, dtype=F64))
    torch.testing.assert_close(aligned(gram) @ rows, turned.mean(0))


CANCELLING = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [0.0, -1.0, 0.0]], dtype=F64)


@pytest.mark.parametrize("weighing", [nash, imtl_g, functools.partial(fairgrad, alpha=1.0)])
def test_where_gradients_cancel_there_is_almost_no_step(weighing):
    for factor in (1.0, 1e-5, 1e5):
        rows = factor * CANCELLING
        step = weighing(rows @ rows.T) @ rows
        assert step.norm() < 1e-4


LAWS = {
    nash: [
        assert_factor_invariant,
        assert_no_conflict,
        assert_non_negative,
        assert_permutation_equivariant,
    ],
    fairgrad: [assert_no_conflict, assert_non_negative, assert_permutation_equivariant],
    imtl_g: [
        assert_factor_invariant,
        assert_no_conflict,
        assert_permutation_equivariant,
        assert_scale_invariant,
    ],
    aligned: [assert_permutation_equivariant, assert_scale_invariant],
}


@pytest.mark.parametrize(("weighing", "law"), [(w, law) for w, laws in LAWS.items() for law in laws])
@pytest.mark.parametrize(("tasks", "width"), [(1, 3), (2, 3), (5, 9), (7, 9)])
def test_laws(weighing, law, tasks, width):
    for seed in range(5):
        law(weighing, jacobian(tasks, width, seed))


def test_agree_with_torchjd():
    for seed in range(5):
        rows = jacobian(5, 12, seed)
        gram = rows @ rows.T
        torch.testing.assert_close(imtl_g(gram) @ rows, theirs.IMTLG()(rows), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(aligned(gram) @ rows, theirs.AlignedMTL()(rows), rtol=1e-6, atol=1e-6)
        fair = theirs.FairGrad(2.0)(rows)
        torch.testing.assert_close(fairgrad(gram, alpha=2.0) @ rows, fair, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem")
def test_nash_agrees_with_torchjd_in_direction():
    pytest.importorskip("cvxpy")
    rows = jacobian(5, 12)
    expected = theirs.NashMTL(5, optim_niter=200)(rows)  # scaled to the length 1
    found = nash(rows @ rows.T) @ rows
    torch.testing.assert_close(found / found.norm(), expected / expected.norm(), rtol=0, atol=0.02)


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.inf, math.nan])
def test_a_fairness_out_of_range_is_refused(alpha):
    with pytest.raises(ValueError, match="`alpha` should be above 0 and finite"):
        fairgrad(torch.eye(2), alpha=alpha)
