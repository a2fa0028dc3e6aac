import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.measure import leep
from headstart.testing import assert_leaves_out_missing, assert_relabelling_invariant

from .problems import normal


def probabilities(n, z, seed=0, sharp=2.0):
    return (sharp * normal(n, z, seed=seed)).softmax(1)


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
    assert_relabelling_invariant(leep, theta, y)
    assert leep(torch.cat([theta, torch.zeros(24, 1)], 1), y) == pytest.approx(
        score
    )  # a class never predicted


def test_leep_leaves_out_rows_without_a_label():
    assert_leaves_out_missing(leep, probabilities(10, 3), torch.arange(10) % 2)


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
