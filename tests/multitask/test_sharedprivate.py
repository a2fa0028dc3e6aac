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


def test_the_discriminator_learns_unless_the_reversed_gradient_hides_the_task():
    tasks = two(*moved())
    _, hidden = trained(both(1.0, 0.0), tasks, steps=200)
    _, free = trained(both(0.0, 0.0), tasks, steps=200)
    ends = [sum(losses["adversary"] for losses in history[-100:]) / 100 for history in (hidden, free)]
    assert ends[1] < 0.75 * free[0]["adversary"]
    assert ends[0] > 1.2 * ends[1]


def test_the_encoder_gets_the_reversed_gradient_and_the_discriminator_its_own():
    tasks = two(*moved())
    found = []
    for scale in (1.0, 0.5):
        net = seeded(lambda scale=scale: netted(both(scale, 0.0), tasks))
        losses = net.together({t.name: t.train.x for t in tasks}, 0.0)[1]
        own = net.backbone
        inputs = [own.shared.layers[0].weight, own.discriminator.weight]
        found.append(torch.autograd.grad(losses["adversary"], inputs))
    torch.testing.assert_close(found[0][0], 2 * found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])


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
