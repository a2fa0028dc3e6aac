"""The fast discrepancy against the form that compares every two rows, its gradient included."""

import math

import pytest
import torch

from headstart.maths import discrepancy, squared_distances
from headstart.maths.discrepancy import BANDWIDTHS, median_distance


def rows(count, width, seed, dtype=torch.float64):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def by_broadcast(a, b, bandwidths):
    """Form the differences of all rows, in three matrices."""
    aa, bb, ab = ((x[:, None] - y[None]).square().sum(2) for x, y in ((a, a), (b, b), (a, b)))
    upper = [d[tuple(torch.triu_indices(len(d), len(d), 1))] for d in (aa, bb)]
    median = torch.cat([*upper, ab.flatten()]).detach().median()

    def kernel(d):
        return sum(torch.exp(-d / (median * m)) for m in bandwidths) / len(bandwidths)

    return kernel(aa).mean() + kernel(bb).mean() - 2 * kernel(ab).mean()


def with_gradients(function, a, b, bandwidths):
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    value = function(a, b, bandwidths)
    return value.detach(), *torch.autograd.grad(3 * value, [a, b])


@pytest.mark.parametrize("bandwidths", [BANDWIDTHS, (1.0,), (3.0, 0.4, 1.0)])
@pytest.mark.parametrize(("count", "other"), [(5, 8), (1, 1), (1, 4)])
def test_value_and_gradient_are_those_of_the_plain_form(count, other, bandwidths):
    a, b = rows(count, 3, 0), rows(other, 3, 1) + 0.5
    for found, expected in zip(
        with_gradients(discrepancy, a, b, bandwidths),
        with_gradients(by_broadcast, a, b, bandwidths),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


def test_float32_agrees_to_five_digits_at_the_size_of_a_batch():
    a, b = rows(128, 256, 0, torch.float32), rows(128, 256, 1, torch.float32) + 0.2
    found, expected = (with_gradients(f, a, b, BANDWIDTHS) for f in (discrepancy, by_broadcast))
    assert abs(float(found[0] - expected[0])) < 1e-5
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert float((one - other).abs().max()) < 1e-5 * float(other.abs().max())


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_median_is_that_of_the_pairs(count, dtype):
    distances = squared_distances(rows(count, 2, count)).to(dtype)
    pairs = distances[tuple(torch.triu_indices(count, count, 1))]
    assert median_distance(distances) == pairs.median()


def test_equal_rows_are_no_distance_apart_and_the_gradient_is_finite():
    same = torch.ones(3, 2, requires_grad=True)
    value = discrepancy(same, same * 1)
    value.backward()
    assert value == 0
    assert same.grad.isfinite().all()


def test_rows_without_a_gradient_need_none():
    value = discrepancy(rows(3, 2, 0), rows(3, 2, 1))
    assert not value.requires_grad
    assert math.isfinite(value)
