import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from headstart.measure import leep, logme


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def probabilities(n, z, seed=0, sharp=2.0):
    return (sharp * normal(n, z, seed=seed)).softmax(1)


# LEEP


def test_leep_is_zero_where_each_old_class_goes_with_one_label():
    old = torch.arange(60) % 6
    assert leep(torch.nn.functional.one_hot(old).double(), old // 2) == 0


@pytest.mark.parametrize("count", [2, 3, 10])
def test_leep_is_minus_log_k_where_the_old_classes_say_nothing(count):
    labels = torch.arange(4 * count) % count
    assert leep(torch.full((4 * count, 7), 1 / 7), labels) == pytest.approx(-math.log(count))


def test_leep_is_its_definition():
    theta, y = probabilities(30, 4), torch.arange(30) % 3
    total = 0.0
    for i in range(30):
        p = 0.0
        for z in range(4):
            joint = sum(theta[j, z] for j in range(30) if y[j] == y[i])
            p += theta[i, z] * joint / theta[:, z].sum()
        total += math.log(p)
    assert leep(theta, y) == pytest.approx(total / 30)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(2, 5))
def test_leep_laws(seed, width, count):
    theta, y = probabilities(24, width, seed), torch.arange(24) % count
    score = leep(theta, y)
    assert -math.log(count) - 1e-9 <= score <= 0
    g = torch.Generator().manual_seed(seed)
    rows, columns = torch.randperm(24, generator=g), torch.randperm(width, generator=g)
    assert leep(theta[rows][:, columns], y[rows]) == pytest.approx(score)
    assert leep(theta, 7 * y + 3) == pytest.approx(score)
    assert leep(torch.cat([theta, torch.zeros(24, 1)], 1), y) == pytest.approx(
        score
    )  # a class never predicted


def test_leep_leaves_out_rows_without_a_label():
    theta, y = probabilities(10, 3), torch.arange(10) % 2
    holes = torch.cat([y, torch.tensor([-100, -100])])
    assert leep(torch.cat([theta, theta[:2]]), holes) == leep(theta, y)


@pytest.mark.parametrize(
    ("theta", "labels", "message"),
    [
        (torch.ones(3), torch.zeros(3).long(), r"one row per label, \(3, width\); found \(3,\)"),
        (torch.ones(2, 1), torch.zeros(3).long(), r"found \(2, 1\)"),
        (torch.tensor([[1.5, -0.5]] * 2), torch.tensor([0, 1]), r"at least 0; found -0\.5"),
        (torch.tensor([[2.0, 1.0]] * 2), torch.tensor([0, 1]), r"of sum 1; found 3\.0; pass `logits"),
        (torch.tensor([[math.nan, 1.0]] * 2), torch.tensor([0, 1]), "finite; found infinity or NaN"),
        (torch.ones(2, 1), torch.tensor([0.0, 1.0]), r"class numbers \(N,\); found torch.float32"),
        (torch.ones(2, 1), torch.tensor([-100, -100]), "at least one that is not missing"),
    ],
)
def test_leep_says_what_is_wrong(theta, labels, message):
    with pytest.raises(ValueError, match=message):
        leep(theta, labels)


# LogME


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
    assert logme(x, 10 * labels) == pytest.approx(score)
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
    x, y = normal(12, 3), torch.arange(12) % 2
    holes = torch.cat([y, torch.tensor([-100])])
    assert logme(torch.cat([x, x[:1]]), holes) == logme(x, y)
    far = torch.cat([x[:, 0], torch.tensor([math.nan])])
    assert logme(torch.cat([x, x[:1]]), far) == logme(x, x[:, 0])


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
