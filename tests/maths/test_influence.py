"""Influence values against closed forms, finite differences and the bootstrap."""

import math

import numpy as np
import pytest
import torch

from headstart.maths import influence
from headstart.tasks import Binary, Multiclass, Multilabel, Regression, Tokens

G = torch.Generator().manual_seed(0)


def randn(*shape):
    return torch.randn(shape, generator=G, dtype=torch.float64)


def draws(high, *shape):
    return torch.randint(high, shape, generator=G)


CASES = {
    "multiclass": (Multiclass(5), 2 * randn(50, 5), draws(4, 50)),  # the last class never occurs
    "two_classes": (Multiclass(2), randn(50, 2).round(), draws(4, 50).clamp(max=1)),
    "binary": (Binary(), randn(50, 1).mul(2).round(), draws(2, 50).double()),
    "multilabel": (
        Multilabel(4),  # a label that is everywhere, one that is nowhere, and holes
        randn(50, 4),
        torch.cat([torch.ones(50, 1), torch.zeros(50, 1), draws(2, 50, 2)], 1)
        .double()
        .masked_fill(draws(5, 50, 4) == 0, torch.nan),
    ),
    "regression": (Regression(), randn(50, 1).mul(2).round(), randn(50).mul(2).round()),
    "regression_many": (Regression(2), randn(50, 2), randn(50, 2)),
    "tokens": (Tokens(3), randn(50, 4, 3), draws(3, 50, 4).masked_fill(draws(4, 50, 4) == 0, -100)),
}
EACH = [(name, key) for name, (kind, *_) in CASES.items() for key in kind.measures()]


def influences(kind, key, outputs, y):
    p, t, row = kind.scored(outputs, y)
    return influence(kind.measures()[key], p, t, row, int(row.max()) + 1)


@pytest.mark.parametrize(("name", "key"), EACH)
def test_they_are_the_slopes_of_the_measure(name, key):
    kind, outputs, y = CASES[name]
    measure = kind.measures()[key]
    p, t, row = kind.scored(outputs, y)
    value, each = influences(kind, key, outputs, y)
    units, step = len(each), 1e-5
    moved = step * torch.eye(units, dtype=torch.float64)[:, row]
    slopes = (measure(p, t, 1 + moved) - measure(p, t, 1 - moved)) / (2 * step)
    assert value == measure(p, t, torch.ones(1, len(t), dtype=torch.float64)).item()
    assert np.abs(each - value).max() > 0
    np.testing.assert_allclose(each - value, units * slopes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "key"), EACH)
def test_their_mean_is_the_measure_whatever_the_scale_of_the_weights(name, key):
    kind, outputs, y = CASES[name]
    p, t, _ = kind.scored(outputs, y)
    w = torch.ones(1, len(t), dtype=torch.float64, requires_grad=True)
    measure = kind.measures()[key]
    (slope,) = torch.autograd.grad(measure(p, t, w).sum(), w)
    assert slope.sum().item() == pytest.approx(0, abs=1e-10)
    assert measure(p, t, 3 * w).item() == pytest.approx(measure(p, t, w).item(), abs=1e-12)
    value, each = influences(kind, key, outputs, y)
    assert (len(each), each.dtype) == (50, np.float64)
    assert each.mean() == pytest.approx(value, abs=1e-14 * np.abs(each).max())


def test_those_of_accuracy_are_the_hits():
    kind, outputs, y = CASES["multiclass"]
    _, each = influences(kind, "accuracy", outputs, y)
    np.testing.assert_allclose(each, (outputs.argmax(1) == y).double(), atol=1e-13)


@pytest.mark.parametrize(("key", "each"), [("mae", lambda e: e.abs()), ("mse", lambda e: e.square())])
def test_those_of_a_mean_are_its_terms(key, each):
    kind, outputs, y = CASES["regression"]
    error = outputs[:, 0] - y
    expected = each(error)
    if key == "mse":  # of its root: to first order
        root = expected.mean().sqrt()
        _, found = influences(kind, "rmse", outputs, y)
        expected = root + (expected - root**2) / (2 * root)
    else:
        _, found = influences(kind, key, outputs, y)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_those_of_balanced_accuracy_count_a_row_by_its_class():
    kind, outputs, y = CASES["multiclass"]
    value, each = influences(kind, "balanced_accuracy", outputs, y)
    hit = (outputs.argmax(1) == y).double()
    classes = y.unique()
    share = torch.stack([(y == c).double().mean() for c in classes])
    recall = torch.stack([hit[y == c].mean() for c in classes])
    assert value == pytest.approx(recall.mean().item())
    np.testing.assert_allclose(each, value + (hit - recall[y]) / (len(classes) * share[y]), atol=1e-12)


@pytest.mark.parametrize("name", ["binary", "two_classes"])
def test_those_of_the_area_count_the_rows_of_the_other_class_on_the_right_side(name):
    kind, outputs, y = CASES[name]
    value, each = influences(kind, "auroc", outputs, y)
    score, y = outputs[:, -1] - (outputs[:, 0] if name == "two_classes" else 0), y.long()
    above = (score[:, None] > score).double() + (score[:, None] == score).double() / 2
    other = y[:, None] != y
    right = torch.where(y[:, None] == 1, above, 1 - above)  # (n, n): is the pair in order
    v = (right * other).sum(1) / other.sum(1)
    share = y.bincount().double()[y] / len(y)
    assert v[y == 1].mean().item() == pytest.approx(value)
    np.testing.assert_allclose(each, value + (v - value) / share, atol=1e-12)


def test_a_group_is_moved_as_one():
    kind, outputs, y = CASES["multiclass"]
    p, t, _ = kind.scored(outputs, y)
    group = torch.arange(50) // 7  # the last of 1 row
    value, each = influence(kind.measures()["accuracy"], p, t, group, 8)
    hits = np.bincount(group, (outputs.argmax(1) == y).double(), minlength=8)
    sizes = np.bincount(group)
    np.testing.assert_allclose(each, value + 8 / 50 * (hits - sizes * value), atol=1e-13)
    assert each.mean() == pytest.approx(value, abs=1e-14)


def test_a_unit_without_an_entry_moves_nothing():
    hits = Multiclass(2).measures()["accuracy"]
    value, each = influence(hits, torch.eye(2), torch.tensor([0, 0]), torch.tensor([0, 2]), 3)
    assert value == 0.5
    np.testing.assert_allclose(each, [1.25, 0.5, -0.25])


@pytest.mark.parametrize("key", ["auroc", "average_precision", "spearman", "macro_f1"])
def test_their_variance_is_that_of_the_bootstrap(key):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(400, generator=g, dtype=torch.float64)
    noise = torch.randn(400, generator=g, dtype=torch.float64)
    if key == "spearman":
        kind, outputs, y = Regression(), x[:, None], x + noise
    elif key == "macro_f1":
        kind, outputs, y = Multiclass(2), torch.stack([-x, x], 1), (x + noise > 0.7).long()
    else:
        kind, outputs, y = Binary(), x[:, None], (x + noise > 0.7).double()
    p, t, _ = kind.scored(outputs, y)
    _, each = influences(kind, key, outputs, y)
    drawn = torch.randint(400, (4000, 400), generator=g) + 400 * torch.arange(4000)[:, None]
    counts = drawn.flatten().bincount(minlength=4000 * 400).view(4000, 400).double()
    assert each.var() / 400 == pytest.approx(kind.measures()[key](p, t, counts).var().item(), rel=0.15)


def test_what_is_not_defined_is_nan_throughout():
    value, each = influence(Binary().measures()["auroc"], torch.rand(4), torch.ones(4), torch.arange(4), 4)
    assert math.isnan(value)
    assert np.isnan(each).all()
    nothing = torch.zeros(0)
    value, each = influence(Regression().measures()["mae"], nothing, nothing, nothing.long(), 2)
    assert math.isnan(value)
    assert np.isnan(each).all()


@pytest.mark.parametrize("key", Regression().measures())
def test_a_perfect_prediction_is_moved_by_no_row(key):
    _, each = influences(Regression(), key, torch.arange(5.0)[:, None], torch.arange(5.0))
    np.testing.assert_allclose(each, 1 if key in ("r2", "spearman") else 0)


def test_they_come_whatever_mode_gradients_are_in():
    kind, outputs, y = CASES["multiclass"]
    expected = influences(kind, "log_loss", outputs, y)
    with torch.inference_mode():
        outputs, y = outputs + 0, y + 0
        found = influences(kind, "log_loss", outputs, y)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(influences(kind, "log_loss", outputs, y)[1], expected[1])


def test_an_entry_of_a_unit_that_is_not_there_is_refused():
    hits = Multiclass(2).measures()["accuracy"]
    with pytest.raises(ValueError, match=r"`unit` should be numbers in \[0, 2\); found 2"):
        influence(hits, torch.eye(2), torch.tensor([0, 0]), torch.tensor([0, 2]), 2)
