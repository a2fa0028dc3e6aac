"""Maps of observations, columns, and what a policy does: from other numbers than those that made them."""

import numpy as np
import pytest
import torch
from torch import nn

from headstart.models import Net, load, mlp, save
from headstart.rl import Walk, World, bridge, fitted, returns, walk
from headstart.rl.bridge import explained, watch
from headstart.rl.columns import beside
from headstart.tasks import Multiclass

CART = World("CartPole-v1")


def balancing(signs=1.0):
    """A policy that is known to balance: push towards where the pole leans and moves."""
    backbone = mlp(4, hidden=[2], activation="tanh")
    net = Net(backbone, {"act": nn.Linear(2, 2)})
    lean = signs * torch.tensor([0.1, 0.3, 3.0, 1.0])
    with torch.no_grad():
        backbone.layers[0].weight.copy_(torch.stack([-lean, lean]))
        nn.init.zeros_(backbone.layers[0].bias)
        net.heads["act"].weight.copy_(torch.eye(2))
        nn.init.zeros_(net.heads["act"].bias)
    return net


def test_the_map_of_a_turned_world_is_its_turn():
    steps, g = walk(CART, 2000, seed=0), np.random.default_rng(1)
    turn = np.linalg.qr(g.normal(size=(7, 7)))[0][:4]  # four numbers in seven, orthogonal
    noise = 0.05 * g.normal(size=(2, 2000, 3)) @ np.linalg.qr(g.normal(size=(3, 3)))[0]
    rest = np.linalg.svd(turn)[2][4:]
    target = Walk(
        steps.before @ turn + noise[0] @ rest, steps.action, steps.after @ turn + noise[1] @ rest, 2
    )
    b, c = bridge(steps, target)
    np.testing.assert_allclose(turn @ b, np.eye(4), atol=0.05)
    np.testing.assert_allclose(rest @ b, 0, atol=0.05)
    np.testing.assert_allclose(c, 0, atol=0.02)


def test_reversed_pushes_are_found_and_undone():
    turned = World("CartPole-v1", context={"force": -10})
    found = bridge(walk(CART, 4000, seed=0), walk(turned, 200, seed=1))
    np.testing.assert_allclose(found[0], -np.eye(4), atol=0.15)
    old = balancing()
    assert returns([old], [CART], 2, seed=3).min() == 500
    assert returns([old], [turned], 2, seed=3).max() < 20
    assert returns([fitted(old, found)], [turned], 2, seed=3).min() >= 475


def test_a_mapped_policy_is_saved_as_any_net(tmp_path):
    b, c = np.random.default_rng(0).normal(size=(6, 4)), np.arange(4.0)
    net = fitted(balancing(), (b, c))
    x = torch.randn(5, 6)
    expected = balancing()(torch.from_numpy(x.double().numpy() @ b + c), "act")
    torch.testing.assert_close(net(x, "act"), expected, rtol=1e-4, atol=1e-4)
    save(net, tmp_path, kinds={"act": Multiclass(2)})
    torch.testing.assert_close(load(tmp_path).net(x, "act"), net(x, "act"))


def test_how_linear_a_world_is():
    assert explained(walk(CART, 1000, 0)) > 0.99
    assert explained(walk(World("Pendulum-v1", actions=5), 1000, 0)) < 0.6


def test_a_walk_of_nan_or_of_other_lengths_is_refused():
    with pytest.raises(ValueError, match="finite"):
        Walk(np.full((3, 2), np.nan), np.zeros(3, dtype=int), np.zeros((3, 2)), 2)
    with pytest.raises(ValueError, match="one length"):
        Walk(np.zeros((3, 2)), np.zeros(2, dtype=int), np.zeros((3, 2)), 2)
    with pytest.raises(ValueError, match="2 actions"):
        bridge(walk(CART, 50, 0), walk(World("MountainCar-v0"), 50, 0))


def test_what_a_policy_does_is_watched():
    x, y = watch(balancing(), CART, 120, seed=0)
    assert (x.shape, y.shape) == ((120, 4), (120,))
    assert torch.equal(balancing()(x, "act").argmax(1), y)


def test_a_new_column_sees_the_old_one_which_stays():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        old, new = (Net(mlp(3, hidden=(4, 5), activation="tanh"), {"act": nn.Linear(5, 2)}) for _ in range(2))
        x = torch.randn(6, 3)
        wide, moves = beside(old, new)
        torch.testing.assert_close(wide(x, "act"), new(x, "act"))
        torch.testing.assert_close(wide.features(x)[:, :5], old.features(x))
        with torch.no_grad():
            for weight, free in zip(wide.parameters(), moves.parameters(), strict=True):
                weight += free * torch.randn_like(weight)
    torch.testing.assert_close(wide.features(x)[:, :5], old.features(x))
    assert not torch.allclose(wide(x, "act"), new(x, "act"))
