"""Shared and private features: both losses fall, and without them the parts say the same."""

import pytest
import torch

from headstart.models import mlp
from headstart.models.sharing.sharedprivate import products
from headstart.multitask import SharedPrivate

from .patterns import check_pattern, netted, rows, seeded, trained, two


def both(adversary=0.05, orthogonality=0.01):
    return seeded(
        lambda: SharedPrivate(
            mlp(5, hidden=[8]),
            {t: mlp(5, hidden=[4]) for t in ("a", "b")},
            adversary=adversary,
            orthogonality=orthogonality,
        )
    )


def moved():
    return rows(many=64), rows(1, many=64) + 1  # rows whose place tells their task


def test_shared_private_keeps_the_contract(tmp_path):
    check_pattern(both(), tmp_path, rows())
    check_pattern(both(), tmp_path / "apart", rows(), rows(1))


def test_products_are_the_squared_ones_of_directions():
    one, other = (torch.randn(9, n, dtype=torch.float64) for n in (3, 2))
    s, p = one - one.mean(0), other - other.mean(0)
    s, p = s / s.norm(dim=1, keepdim=True), p / p.norm(dim=1, keepdim=True)
    expected = sum((s[:, i] @ p[:, j] / 9) ** 2 for i in range(3) for j in range(2))
    torch.testing.assert_close(products(one, other), expected)
    assert 0 <= products(one, one) <= 1
    assert products(one, torch.zeros(9, 2, dtype=torch.float64)) == 0


def test_orthogonality_falls_and_stays_larger_without_it():
    tasks = two(*moved())
    held, history = trained(both(0.0, 30.0), tasks, steps=150)
    free, _ = trained(both(0.0, 0.0), tasks, steps=150)
    assert history[-1]["orthogonality"] < 0.5 * history[0]["orthogonality"]
    left = [_same(net.backbone, tasks) for net in (held, free)]
    assert left[0] < 0.5 * left[1]


def _same(pattern, tasks):
    x = tasks[0].train.x
    return products(pattern.shared(x), pattern.own["a"](x)).item()


def test_the_discriminator_learns_and_the_reversed_gradient_takes_the_task_out():
    tasks = two(*moved())
    hidden, _ = trained(both(3.0, 0.0), tasks, steps=300)
    free, history = trained(both(0.0, 0.0), tasks, steps=300)
    assert history[-1]["adversary"] < 0.5 * history[0]["adversary"]  # it learns where nothing hides
    assert _separable(hidden.backbone, tasks) < 0.5 * _separable(free.backbone, tasks)


def _separable(pattern, tasks):
    """How far apart the means of the shared features are, beside their spread."""
    a, b = (pattern.shared(t.train.x).detach() for t in tasks)
    spread = torch.cat([a - a.mean(0), b - b.mean(0)]).std(0).square().sum()
    return ((a.mean(0) - b.mean(0)).square().sum() / spread).item()


def test_tasks_with_the_very_same_rows_have_no_adversary():
    net, x = netted(both(), two(rows())), rows()
    assert sorted(net.together({"a": x, "b": x}, 0.0)[1]) == ["orthogonality"]
    assert sorted(net.together({"a": x, "b": x + 1}, 0.0)[1]) == ["adversary", "orthogonality"]
    assert sorted(net.together({"a": x}, 0.0)[1]) == ["orthogonality"]


def test_shared_private_says_what_does_not_fit():
    with pytest.raises(ValueError, match="of one width; found 4 of a, 3 of b"):
        SharedPrivate(mlp(5), {"a": mlp(5, hidden=[4]), "b": mlp(5, hidden=[3])})
    with pytest.raises(ValueError, match="`adversary` should be at least 0"):
        both(adversary=-0.1)
