import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from headstart.measure import logme
from headstart.testing import assert_leaves_out_missing, assert_relabelling_invariant

from .problems import normal


def evidence(x, y):
    """Maximise the marginal likelihood itself, without a decomposition."""
    n = len(x)

    def negative(logs):
        alpha, beta = np.exp(logs)
        return -multivariate_normal.logpdf(y, np.zeros(n), x @ x.T / alpha + np.eye(n) / beta)

    options = {"xatol": 1e-8, "fatol": 1e-11, "maxiter": 4000}
    runs = [minimize(negative, start, method="Nelder-Mead", options=options) for start in ([0, 0], [3, 1])]
    return -min(r.fun for r in runs) / n


@pytest.mark.parametrize(("n", "d"), [(30, 5), (20, 20), (15, 40)])
def test_logme_is_the_maximal_evidence(n, d):
    x = normal(n, d)
    y = x[:, 0] + 0.5 * normal(n, seed=1)
    assert logme(x, y) == pytest.approx(evidence(x.numpy(), y.numpy()), abs=1e-6)


def test_logme_of_classes_is_the_mean_over_one_hot_columns():
    labels = torch.arange(40) % 3
    x = normal(40, 6) + 2 * torch.nn.functional.one_hot(labels, 6)
    columns = torch.nn.functional.one_hot(labels).double()
    expected = np.mean([evidence(x.numpy(), c.numpy()) for c in columns.T])
    assert logme(x, labels) == pytest.approx(expected, abs=1e-6)
    assert logme(x, columns) == pytest.approx(logme(x, labels))


def test_logme_does_not_depend_on_scale_rotation_or_order():
    labels = torch.arange(50) % 5
    x = normal(50, 8) + torch.nn.functional.one_hot(labels, 8)
    score = logme(x, labels)
    turn = torch.linalg.qr(normal(8, 8, seed=1))[0]
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    assert logme(100 * x, labels) == pytest.approx(score)
    assert logme(x @ turn, labels) == pytest.approx(score)
    assert logme(x[order], labels[order]) == pytest.approx(score)
    assert logme(torch.cat([x, torch.zeros(50, 3)], 1), labels) == pytest.approx(score)
    assert_relabelling_invariant(logme, x, labels)
    assert logme(x.float(), labels) == pytest.approx(score, rel=1e-5)


@pytest.mark.parametrize(("n", "d", "seed"), [(5, 20, 0), (30, 3, 1), (100, 200, 2)])
def test_logme_finds_the_highest_of_several_maxima(n, d, seed):
    rng = np.random.default_rng(seed)
    ratios = 10 ** np.linspace(-8, 8, 4001)[:, None]
    for trial in range(20):
        x = rng.normal(size=(n, d)) * 10 ** rng.uniform(-3, 3, d) + 5 * (trial % 2)
        labels = rng.integers(0, 2, n)
        if labels.min() == labels.max():
            continue
        y = (labels == 0).astype(float)
        best = []
        for column in (y, 1 - y):
            values, vectors = np.linalg.eigh(x @ x.T)
            spread = 1 + values.clip(0) / (ratios * np.mean(np.linalg.svd(x, compute_uv=False) ** 2))
            misfit = ((vectors.T @ column) ** 2 / spread).sum(1)
            best.append(np.max(-np.log(spread).sum(1) / n + np.log(n / misfit) - 1 - np.log(2 * np.pi)) / 2)
        score = logme(torch.from_numpy(x), torch.from_numpy(labels))
        assert score == pytest.approx(np.mean(best), abs=1e-4)


def test_logme_ranks_features_by_what_they_tell():
    labels = torch.arange(90) % 3
    hot = torch.nn.functional.one_hot(labels, 6)
    for seed in range(5):
        noise = normal(90, 6, seed=seed)
        scores = [logme(noise + strength * hot, labels) for strength in (0, 1, 3, 10)]
        assert scores == sorted(scores)
        assert all(map(math.isfinite, scores))


@pytest.mark.parametrize(
    "x", [torch.zeros(6, 2), torch.ones(6, 2), torch.nn.functional.one_hot(torch.arange(6) % 2)]
)
def test_logme_is_finite_for_useless_and_perfect_features(x):
    assert math.isfinite(logme(x.float(), torch.arange(6) % 2))


def test_logme_leaves_out_rows_without_a_label():
    x = normal(12, 3)
    assert_leaves_out_missing(logme, x, torch.arange(12) % 2)
    assert_leaves_out_missing(logme, x, x[:, 0])


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (torch.ones(3), torch.zeros(3).long(), r"one row per label, \(3, width\); found \(3,\)"),
        (torch.ones(2, 4), torch.zeros(3).long(), r"found \(2, 4\)"),
        (torch.full((2, 4), math.nan), torch.tensor([0, 1]), "finite; found infinity or NaN"),
        (torch.ones(3, 4), torch.zeros(3).long(), "at least two that differ; found one value only"),
        (torch.ones(2, 4), torch.tensor([math.inf, 1.0]), "`labels` should be finite"),
        (torch.ones(2, 4), torch.tensor([[0, 1], [1, 0]]), r"class numbers \(N,\)"),
    ],
)
def test_logme_says_what_is_wrong(x, labels, message):
    with pytest.raises(ValueError, match=message):
        logme(x, labels)
