"""Successor features are those of the closed form, and serve rewards that no policy was learned for."""

import numpy as np
import pytest
import torch
from torch import nn

from headstart.models import Net, mlp
from headstart.rl import Budget, Problem, World, returns
from headstart.rl.play import play
from headstart.rl.successor import Steps, basis, improved, lived, successor, weights
from headstart.strategies.rl import STRATEGIES

MEADOW, OPPOSITE = World("Meadow"), World("Meadow", context={"red": -1, "blue": 1})


def test_a_chain_worked_out_by_its_matrix():
    rng = np.random.default_rng(0)
    moves = rng.dirichlet(np.ones(4), size=(4, 2))  # from 4 places by 2 actions
    features, policy = rng.normal(size=(4, 2, 3)), np.array([0, 1, 1, 0])
    steps = 60_000
    place, action = rng.integers(4, size=steps), rng.integers(2, size=steps)
    after = (rng.random((steps, 1)) > moves[place, action].cumsum(1)).sum(1)
    dead = after == 3  # the episode ends there
    told = Steps(np.eye(4)[place], action, np.zeros(steps), features[place, action], np.eye(4)[after],
                 policy[after], dead)  # fmt: skip
    seen = np.zeros((8, 8))
    for s, a, s2, d in zip(place, action, after, dead, strict=True):
        seen[2 * s + a, 2 * s2 + policy[s2]] += not d
    seen /= np.bincount(2 * place + action)[:, None]
    expected = np.linalg.solve(np.eye(8) - 0.9 * seen, features.reshape(8, 3)).reshape(4, 2, 3)
    found = successor(told, lambda x: x, 2, 0.9)(np.eye(4))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_best_of_several_policies_is_valued_for_each_action():
    one, other = (lambda x, v=v: np.full((len(x), 2, 2), v) for v in (1.0, 3.0))
    np.testing.assert_array_equal(improved([one, other], np.array([1.0, 0.0]), np.zeros((1, 2))), [[3, 3]])
    np.testing.assert_array_equal(improved([one, other], np.array([-1.0, 0.0]), np.zeros((1, 2))), [[-1, -1]])


def to_the_red_patch():
    """A policy that walks to the lower left, where it stays: which actions are best is known there."""
    backbone = mlp(2, hidden=[2], activation="relu")
    net = Net(backbone, {"act": nn.Linear(2, 5)})
    with torch.no_grad():
        backbone.layers[0].weight.copy_(torch.eye(2))
        backbone.layers[0].bias.fill_(0.7)
        net.heads["act"].weight.zero_()
        net.heads["act"].weight[2, 0] = net.heads["act"].weight[4, 1] = 1.0
        net.heads["act"].bias.copy_(torch.tensor([0.05, -1, 0, -1, 0]))
    return net


def test_opposite_rewards_harm_the_old_policy_and_not_its_successor_features():
    old = to_the_red_patch()
    assert returns([old], [MEADOW], 8, seed=0).mean() > 20
    assert returns([old], [OPPOSITE], 8, seed=0).mean() < -20
    w = weights(lived(None, OPPOSITE, 100, 0))
    np.testing.assert_allclose(w, [-1, 1], atol=1e-9)
    steps = lived(old, MEADOW, 2000, 0)
    what = successor(steps, basis(steps.before, 0), 5, MEADOW.discount)
    stage, total = play([[OPPOSITE]], 8, [0]), 0.0
    for _ in range(MEADOW.physics.limit):
        total += stage.step(improved([what], w, stage.look()[0]).argmax(1)[None])[0].mean()
    assert total > 0


def test_features_of_a_policy_are_what_it_meets():
    old = to_the_red_patch()
    steps = lived(old, MEADOW, 3000, 1)
    what = successor(steps, basis(steps.before, 1), 5, 0.5)
    physics, context = MEADOW.physics, {k: np.ones(1) * v for k, v in MEADOW.whole.items()}
    for place in ([0.4, 0.1], [-0.3, 0.5]):
        state, action, total = np.array([place]), np.array([3]), np.zeros(2)
        for t in range(12):
            after = physics.move(state, action, context)[0]
            total += 0.5**t * physics.features(state, action, after)[0]
            state = after
            action = old(torch.from_numpy(state).float(), "act").argmax(1).numpy()
        np.testing.assert_allclose(what(np.array([place]))[0, 3], total, atol=0.1)


def test_where_successor_features_do_not_apply_is_told():
    def reason(target, source):
        asked = Problem(target, [source], steps=[64], budget=Budget(pretrain=64))
        return asked.applies(STRATEGIES["successor"], target.name)

    assert reason(OPPOSITE, MEADOW) == ""
    assert "differs in stride" in reason(World("Meadow", context={"stride": 0.3}), MEADOW)
    usual, heavy = World("CartPole-v1"), World("CartPole-v1", context={"gravity": 20})
    assert "pass `features`" in reason(heavy, usual)
    with pytest.raises(ValueError, match="features"):
        lived(None, usual, 50, 0)


@pytest.mark.parametrize("given", [lambda x, a, y: x[0], lambda x, a, y: np.full((2, 1), np.nan)])
def test_features_of_another_form_are_refused(given):
    with pytest.raises(ValueError, match="`features` of 'CartPole-v1'"):
        World("CartPole-v1", features=given)
