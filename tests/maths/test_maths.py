import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headstart.maths import (
    ReverseGradient,
    gaussian,
    interval,
    paired_interval,
    squared_distances,
    unit,
    wilson,
)


def rows(count, width=4, seed=0, dtype=torch.float64):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_squared_distances_equal_the_sum_of_squared_differences():
    a, b = rows(5), rows(7, seed=1)
    torch.testing.assert_close(squared_distances(a, b), (a[:, None] - b).square().sum(2))
    torch.testing.assert_close(squared_distances(a), (a[:, None] - a).square().sum(2))


def test_squared_distances_keep_their_digits_far_from_the_origin():
    a = rows(6, dtype=torch.float32)
    torch.testing.assert_close(squared_distances(a + 1000), squared_distances(a), rtol=1e-3, atol=1e-3)


def test_squared_distances_of_equal_rows_are_zero_with_finite_gradients():
    a = torch.ones(3, 2, requires_grad=True)
    distances = squared_distances(a)
    distances.sum().backward()
    assert distances.eq(0).all()
    assert a.grad.isfinite().all()


def test_squared_distances_have_right_gradients():
    a, b = rows(3).requires_grad_(), rows(4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(squared_distances, (a, b))
    assert torch.autograd.gradcheck(squared_distances, (a,))


@pytest.mark.parametrize("b", [torch.zeros(3, 2), torch.zeros(4)])
def test_squared_distances_refuse_other_widths(b):
    with pytest.raises(ValueError, match=r"two matrices of one width; found \(2, 4\)"):
        squared_distances(torch.zeros(2, 4), b)


def test_gaussian_is_the_mean_of_its_kernels():
    d = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(gaussian(d, [1.0, 2.0]), (torch.exp(-d) + torch.exp(-d / 2)) / 2)


@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0])
def test_reversed_gradient_is_the_negative_scaled_one(scale):
    x = rows(3).requires_grad_()
    (ReverseGradient.apply(x, scale) * rows(3, seed=1)).sum().backward()
    torch.testing.assert_close(x.grad, -scale * rows(3, seed=1))


def test_reversed_gradient_works_under_vmap_and_grad():
    x = rows(3)
    got = torch.func.vmap(torch.func.grad(lambda r: ReverseGradient.apply(r, 0.5).square().sum()))(x)
    torch.testing.assert_close(got, -x)


@pytest.mark.parametrize("count", [2, 3, 30])
def test_interval_agrees_with_scipy(count):
    values = rows(count).flatten().tolist()
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert interval(values) == pytest.approx(expected)


def test_interval_without_spread_or_values():
    assert all(map(math.isnan, interval([1.0])))
    assert all(map(math.isnan, interval([])))
    assert interval([0.1] * 7) == pytest.approx((0.1, 0.1), abs=1e-15)


def test_paired_interval_is_that_of_the_differences():
    a, b = rows(6).flatten().tolist(), rows(6, seed=1).flatten().tolist()
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert paired_interval(a, b) == pytest.approx((expected.low, expected.high))
    assert paired_interval([2.0, 3.0], [1.0, 2.0]) == (1.0, 1.0)
    assert all(map(math.isnan, paired_interval([1.0], [2.0])))


def test_paired_interval_refuses_other_lengths():
    with pytest.raises(ValueError, match=r"as many runs as `a` \(2\); found 1"):
        paired_interval([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (5, 5), (3, 10), (990, 1000)])
def test_wilson_agrees_with_scipy(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_by_hand():
    assert wilson(50, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)
    assert wilson(0, 10)[0] == 0.0


def test_wilson_of_nothing_and_of_nonsense():
    assert all(map(math.isnan, wilson(0, 0)))
    with pytest.raises(ValueError, match=r"in \[0, 3\]; found 4"):
        wilson(4, 3)


@given(
    scale=st.floats(-36, 37).map(lambda power: 10.0**power),
    width=st.integers(1, 5),
    seed=st.integers(0, 2**20),
)
def test_rows_of_length_one_do_not_know_their_scale(scale, width, seed):
    z = rows(4, width, seed, dtype=torch.float32)
    torch.testing.assert_close(unit(z * scale), F.normalize(z, dim=1), rtol=1e-5, atol=1e-6)


def test_rows_of_zeros_have_no_direction_and_finite_slopes():
    z = torch.zeros(2, 3, requires_grad=True)
    found = unit(z)
    found.sum().backward()
    assert found.eq(0).all()
    assert z.grad.abs().le(10).all()


def test_rows_of_length_one_have_right_gradients():
    assert torch.autograd.gradcheck(unit, rows(4).requires_grad_())
    assert torch.autograd.gradgradcheck(unit, rows(4).requires_grad_())
