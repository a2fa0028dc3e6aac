"""How common rows are in the target, by kernels."""

import numpy
import pytest
import torch
from scipy.optimize import LinearConstraint, minimize

from headstart.maths import squared_distances
from headstart.measure import kliep
from headstart.measure._kliep import WIDTHS, _left_out, _weights
from headstart.measure.rows import some


def two_sides(rows=60, columns=2, seed=0, move=0.7):
    g = torch.Generator().manual_seed(seed)
    source = torch.randn(rows, columns, generator=g, dtype=torch.float64)
    return source, 0.8 * torch.randn(rows - 20, columns, generator=g, dtype=torch.float64) + move


def kernels(source, target, width):
    return tuple(torch.exp(-squared_distances(side, target) / (2 * width**2)) for side in (target, source))


def test_the_weights_are_the_optimum_of_the_papers_problem():
    """Maximise the mean log weight of target rows, with weights of mean 1 over the source: by scipy."""
    source, target = two_sides()
    near, there = (side.numpy() for side in kernels(source, target, 0.6))
    found = _weights(torch.from_numpy(near), torch.from_numpy(there), 20_000).numpy()
    mean = there.mean(0)
    assert found.min() >= 0
    assert mean @ found == pytest.approx(1.0)
    best = minimize(
        lambda a: -numpy.log(near @ a).mean(),
        numpy.ones(len(mean)) / mean.sum(),
        jac=lambda a: -(near / (near @ a)[:, None]).mean(0),
        bounds=[(0, None)] * len(mean),
        constraints=LinearConstraint(mean[None], 1, 1),
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    assert numpy.log(near @ found).mean() == pytest.approx(-best.fun, abs=1e-5)


def test_they_have_mean_one_and_do_not_depend_on_the_order():
    source, target = two_sides(80)
    weights = kliep(source, target, 0.5)
    assert float(weights.mean()) == pytest.approx(1.0)
    turned = torch.randperm(len(source), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(kliep(source[turned], target, 0.5), weights[turned])


def test_of_few_columns_they_are_near_the_truth():
    source, _ = two_sides(800, 1, seed=3)
    target = 0.7 * torch.randn(400, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64) + 0.6
    normal = torch.distributions.Normal
    true = (normal(0.6, 0.7).log_prob(source) - normal(0.0, 1.0).log_prob(source)).exp()[:, 0]
    assert float(numpy.corrcoef(kliep(source, target), true)[0, 1]) > 0.9


def test_the_width_is_the_likeliest_for_rows_left_out():
    source, target = two_sides(70)
    squares = tuple(
        squared_distances(side, target[some(target, 100, "centres of kernels")]) for side in (target, source)
    )
    between = squared_distances(target, target)
    widths = [share * float(between[between > 0].median().sqrt()) for share in WIDTHS]
    best = max(widths, key=lambda width: _left_out(*squares, width))
    torch.testing.assert_close(kliep(source, target), kliep(source, target, best))
    worst = min(widths, key=lambda width: _left_out(*squares, width))
    assert not torch.allclose(kliep(source, target), kliep(source, target, worst))


def test_where_sides_do_not_meet_rows_count_the_same():
    source, target = two_sides(40, move=1e4)
    assert kliep(source, target).tolist() == [1.0] * 40


def test_a_width_that_is_none_is_refused():
    source, target = two_sides(40)
    with pytest.raises(ValueError, match="`width` should be above 0 and finite; found 0"):
        kliep(source, target, 0)
