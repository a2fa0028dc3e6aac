"""Runs that learn together learn what each would alone, by the published equations."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from headstart.models import Net, mlp
from headstart.rl import Lesson, Settings, World, learn, returns
from headstart.rl._runs import Adam, Runs, advantages
from headstart.rl._score import Score
from headstart.rl.held import Held, affordable, held
from headstart.rl.stack import Stack, shape

CARTPOLE = World("CartPole-v1")


def net(outputs, seed, *, features=4, hidden=(8, 8)):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net(mlp(features, hidden=hidden, activation="tanh"), {"act": nn.Linear(hidden[-1], outputs)})


def lesson(seed, **more):
    return Lesson([CARTPOLE], net(2, seed), net(1, seed + 50), seed, **more)


def test_a_stack_says_what_each_net_says_and_gives_it_back():
    nets = [net(2, seed) for seed in range(3)]
    stack = Stack(nets, [1.0, 2.0, 0.1, 3.0])
    x = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))
    for run, one in enumerate(nets):
        expected = one(x[run], "act")
        torch.testing.assert_close(stack(x / stack.units)[run], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(stack.net(nets[0], run)(x[run], "act"), expected, rtol=1e-4, atol=1e-5)


def test_a_net_that_is_no_chain_of_layers_is_refused():
    with pytest.raises(ValueError, match="fully connected"):
        shape(Net(nn.LSTM(4, 8), {"act": nn.Linear(8, 2)}))


def test_advantages_are_the_sum_that_defines_them():
    g = torch.Generator().manual_seed(0)
    r, v, then = (torch.randn(1, 6, 1, generator=g, dtype=torch.float64) for _ in range(3))
    dead, over = torch.zeros(2, 1, 6, 1, dtype=torch.bool)
    dead[0, 2], over[0, 2], over[0, 4] = True, True, True  # one end, one that was cut off
    found = advantages(r, v, then, dead, over, 0.9, 0.8)[0, :, 0]
    for t in range(6):
        total = 0.0
        for l in range(t, 6):
            delta = r[0, l, 0] + 0.9 * then[0, l, 0] * (not dead[0, l, 0]) - v[0, l, 0]
            total += (0.9 * 0.8) ** (l - t) * delta
            if over[0, l, 0]:
                break
        assert found[t].item() == pytest.approx(float(total), rel=1e-12)


def test_adam_is_that_of_pytorch_at_each_runs_own_rate():
    g = torch.Generator().manual_seed(0)
    weights = torch.randn(2, 3, 4, generator=g)
    ours = Adam([weights.clone()])
    theirs = [nn.Parameter(weights[r].clone()) for r in range(2)]
    rates = [0.01, 0.1]
    each = [torch.optim.Adam([p], lr=rate, eps=1e-5) for p, rate in zip(theirs, rates, strict=True)]
    for _ in range(5):
        gradient = torch.randn(2, 3, 4, generator=g)
        ours.step([gradient], [torch.tensor(rates)])
        for r, (p, adam) in enumerate(zip(theirs, each, strict=True)):
            p.grad = gradient[r]
            adam.step()
    for r, p in enumerate(theirs):
        torch.testing.assert_close(ours.parameters[0][r], p.detach())


def test_gradients_are_those_of_the_loss_written_for_one_run():
    teacher = net(2, 9)
    runs = Runs([lesson(0), lesson(1, teacher=teacher, pull=0.7)], Settings(episodes=4), 1000)
    told = runs.act(10, 0)
    with torch.no_grad():  # as after a first step
        for parameter in runs.policy.parameters:
            parameter += 0.01 * parameter.sign()
    part = torch.stack([torch.arange(0, 40, 2), torch.arange(20)])
    found = runs.gradients(told, part, torch.tensor([0.7]))
    one, value = runs.policy.net(net(2, 0), 1), runs.value.net(net(1, 0), 1)
    x = told.x[1, part[1]] * runs.policy.units
    log_p, gain = one(x, "act").log_softmax(1), told.gain[1, part[1]]
    gain = (gain - gain.mean()) / (gain.std() + 1e-8)
    ratio = (log_p.gather(1, told.action[1, part[1]])[:, 0] - told.log_p[1, part[1]]).exp()
    loss = -torch.min(ratio * gain, ratio.clamp(0.8, 1.2) * gain).mean()
    loss = loss - 0.005 * torch.distributions.Categorical(logits=log_p).entropy().mean()
    taught = torch.distributions.Categorical(logits=teacher(x, "act"))
    apart = torch.distributions.kl_divergence(taught, torch.distributions.Categorical(logits=log_p))
    loss = loss + 0.7 * apart.mean() + 0.5 * (value(x, "act")[:, 0] - told.wanted[1, part[1]]).square().mean()
    (expected,) = torch.autograd.grad(loss, [one.heads["act"].weight])
    count = len(runs.policy.parameters)
    torch.testing.assert_close(found[count - 2][1].T, expected, rtol=1e-3, atol=1e-6)


def test_gradients_of_worlds_are_weighed_as_those_of_tasks():
    heavy = World("CartPole-v1", context={"gravity": 30})
    seen = []

    def weighing(gramian):
        seen.append(gramian)
        return torch.tensor([3.0, 0.5])

    worlds = [CARTPOLE, heavy, CARTPOLE]
    runs = Runs([lesson(0), replace(lesson(1, weighing=weighing), worlds=worlds)], Settings(episodes=6), 1000)
    told = runs.act(10, 0)
    with torch.no_grad():  # as after a first step
        for parameter in runs.policy.parameters:
            parameter += 0.01 * parameter.sign()
    part = torch.stack([torch.arange(0, 60, 2), torch.arange(30)])
    found = runs.gradients(told, part, torch.tensor([]))
    one, rows, episode = runs.policy.net(net(2, 0), 1), part[1], part[1] % 6
    log_p, gain = one(told.x[1, rows] * runs.policy.units, "act").log_softmax(1), told.gain[1, rows]
    gain = (gain - gain.mean()) / (gain.std() + 1e-8)
    ratio = (log_p.gather(1, told.action[1, rows])[:, 0] - told.log_p[1, rows]).exp()
    each = 0.005 * (log_p.exp() * log_p).sum(1) - torch.min(ratio * gain, ratio.clamp(0.8, 1.2) * gain)
    parameters = [*one.parameters()]
    apart = [
        torch.autograd.grad(each[torch.isin(episode % 3, place)].mean(), parameters, retain_graph=True)
        for place in (torch.tensor([0, 2]), torch.tensor([1]))
    ]
    expected = (3.0 * apart[0][-2] + 0.5 * apart[1][-2]) / 2
    torch.testing.assert_close(found[len(runs.policy.parameters) - 2][1].T, expected, rtol=1e-3, atol=1e-6)
    assert seen[0].shape == (2, 2)
    runs.weighed = []
    for weighed, plain in zip(found, runs.gradients(told, part, torch.tensor([])), strict=True):
        torch.testing.assert_close(weighed[0], plain[0])  # the run beside it


def test_what_a_run_learns_does_not_depend_on_the_runs_beside_it():
    both = learn([lesson(0), lesson(1, warmup=0.5)], [0, 256, 1024], episodes=3)
    (alone,) = learn([lesson(1, warmup=0.5)], [0, 256, 1024], episodes=3)
    np.testing.assert_allclose(both[1].returns, alone.returns)
    for key, value in alone.policies[-1].state_dict().items():
        torch.testing.assert_close(both[1].policies[-1].state_dict()[key], value)


@pytest.mark.slow
def test_cartpole_is_learned():
    told = learn([lesson(seed) for seed in range(3)], [0, 6000], episodes=5, settings=Settings(episodes=8))
    before, after = np.mean([one.returns.mean(1) for one in told], axis=0)
    assert after > before + 80


def test_a_run_that_is_not_to_learn_stays_as_it_is():
    still, warm, waiting = learn(
        [lesson(0, rate=0.0), lesson(0, warmup=1.0), lesson(0, spent=2048)], [0, 1024], episodes=2
    )
    for told in (still, warm, waiting):
        for key, value in net(2, 0).state_dict().items():
            torch.testing.assert_close(told.policies[-1].state_dict()[key], value)
    assert not torch.equal(warm.value.heads["act"].weight, net(1, 50).heads["act"].weight)
    assert torch.equal(waiting.value.heads["act"].weight, net(1, 50).heads["act"].weight)


def test_what_was_there_before_is_handed_out_while_steps_are_spent():
    now, before = net(2, 0).heads["act"].weight, net(2, 7)
    waiting = lesson(0, spent=1024, before=before)
    (told,) = learn([waiting], [0, 512, 1024], episodes=2)
    for policy, expected in zip(told.policies, [before.heads["act"].weight] * 2 + [now], strict=True):
        torch.testing.assert_close(policy.heads["act"].weight, expected)
    (asked,) = learn([waiting], [0], episodes=2)
    np.testing.assert_array_equal(asked.returns[0], told.returns[0])
    np.testing.assert_array_equal(told.returns[0], returns([before], [CARTPOLE], 2, seed=0)[0])


def test_a_policy_that_is_worth_something_is_given_up_only_for_a_better_one():
    for points, expected in (((0.0, 10.0), (False, True)), ((9.0, 10.0), (True, False))):
        score = Score(1, 2, [points])
        for value in (2.0, 8.0):  # 5 with an error of 3
            score.add(np.array([[value, 10.0 - value]]), np.ones((1, 2), bool))
        for _ in range(7):
            score.add(np.array([[5.5, 5.5]]), np.ones((1, 2), bool))
        taken, back = score.better()
        assert (bool(taken[0]), bool(back[0])) == expected


def test_a_gain_in_held_out_episodes_has_to_be_larger_than_its_error():
    one = Held(0, np.array([10.0, 20.0, 30.0]), np.array([4, 5, 6]))
    assert one.spent == 15
    assert one.first(2).spent == 9
    assert Held(0, one.returns + 1, one.steps).surpasses(one)
    assert not Held(0, one.returns + np.array([9.0, 0.0, -6.0]), one.steps).surpasses(
        one
    )  # 1 with an error of 4.4
    assert Held(0, np.array([10.0]), np.array([4])).surpasses(one)  # the first alone, as good
    assert not Held(0, np.array([9.0]), np.array([4])).surpasses(one)
    assert [affordable(np.array([4, 5, 6]), most) for most in (3, 9, 14, 15)] == [1, 2, 2, 3]


def test_another_policy_is_handed_out_only_where_held_out_episodes_speak_for_it():
    start = net(2, 0)
    told = held(start, CARTPOLE, seed=11)
    np.testing.assert_array_equal(told.returns, returns([start], [CARTPOLE], 5, seed=11)[0])
    hopeless, perfect = (Held(11, np.full(5, value), told.steps) for value in (0.0, 500.0))
    never, always = learn([lesson(0, held=perfect), lesson(0, held=hopeless)], [0, 1024, 2048])
    for policy in never.policies:
        assert torch.equal(policy.heads["act"].weight, start.heads["act"].weight)
    first, second, third = (policy.heads["act"].weight for policy in always.policies)
    assert torch.equal(first, start.heads["act"].weight)
    assert not torch.equal(second, first)
    assert not torch.equal(third, first)


def test_what_looks_cost_is_not_learned_from():
    start, settings = net(2, 0), Settings(episodes=4, round=8)
    runs = Runs([lesson(0, held=held(start, CARTPOLE, seed=11))], settings, 1000)
    runs.learn(runs.act(8, 0), 0)
    runs.surpassed(32)
    spent = int(runs.idle[0]) - 32
    assert 0 < spent <= 50  # a twentieth, or a single episode
    assert runs.surpassed(32) == []  # nothing has moved since
    before = runs.policy.state()
    runs.learn(runs.act(2, 32), 32)
    assert all(torch.equal(a, b) for a, b in zip(before, runs.policy.state(), strict=True)) is (spent >= 8)
    runs.learn(runs.act(8, 960), 960)  # the last twentieth is left for the last look
    after = runs.policy.state()
    runs.learn(runs.act(8, 960), 960)
    assert all(torch.equal(a, b) for a, b in zip(after, runs.policy.state(), strict=True))


def test_a_teacher_holds_a_policy_back_until_it_fades():
    free, held, fading = (
        lesson(0), lesson(0, teacher=net(2, 0), pull=1e3), lesson(0, teacher=net(2, 0), pull=1e3, fades=1e-9)
    )  # fmt: skip
    moved = []
    for one in (free, held, fading):
        (told,) = learn([one], [1024], settings=Settings(round=16))
        before, after = net(2, 0).heads["act"].weight, told.policies[-1].heads["act"].weight
        moved.append((after - before).abs().max().item())
    assert moved[1] < 0.5 * moved[0]
    assert moved[2] > moved[1]


def test_only_the_weights_that_are_to_move_do():
    moves = net(2, 0)
    for parameter in moves.parameters():
        nn.init.zeros_(parameter)
    nn.init.ones_(moves.heads["act"].weight)
    (told,) = learn([lesson(0, moves=moves)], [512])
    before, after = net(2, 0).state_dict(), told.policies[-1].state_dict()
    changed = {key for key in before if not torch.allclose(before[key], after[key], rtol=1e-4, atol=1e-6)}
    assert changed == {"heads.act.weight"}


def test_a_potential_adds_what_its_value_rises_by():
    shaped = lesson(0, potential=net(1, 7))
    plain, other = (Runs([one], Settings(episodes=2), 100).act(12, 0) for one in (lesson(0), shaped))
    assert not torch.allclose(plain.wanted, other.wanted)
    constant = net(1, 7)
    for parameter in constant.heads.parameters():
        nn.init.zeros_(parameter)
    same = Runs([lesson(0, potential=constant)], Settings(episodes=2), 100).act(12, 0)
    torch.testing.assert_close(plain.wanted, same.wanted)


def test_the_best_policy_is_kept_and_the_first_is_among_them():
    score = Score(1, 2, [(0.0, 10.0)])

    def episodes(value, count):
        for _ in range(count):
            score.add(np.full((1, 2), value), np.ones((1, 2), bool))
        taken, back = score.better()
        return bool(taken[0]), bool(back[0])

    assert episodes(5.0, 1) == (True, False)  # too few to tell
    assert episodes(3.0, 8) == (False, True)  # worse than the first two were
    assert episodes(9.0, 8) == (True, False)
    assert episodes(8.0, 8) == (False, False)


def test_a_run_that_diverges_spoils_no_other():
    lost = lesson(0)
    nn.init.constant_(lost.policy.heads["act"].weight, float("nan"))
    bad, good = learn([lost, lesson(1)], [0, 512], episodes=2)
    assert np.isnan(bad.returns).all()
    assert np.isfinite(good.returns).all()


def test_returns_are_those_of_an_episode_played_by_hand():
    policy = net(2, 3)
    found = returns([policy], [CARTPOLE], 1, seed=4)
    state = CARTPOLE.physics.start(np.random.default_rng(4).random((1, 4)))
    whole = {name: np.full(1, value) for name, value in CARTPOLE.whole.items()}
    total, ended = 0.0, False
    while not ended and total < 500:
        with torch.no_grad():
            action = policy(torch.from_numpy(state).float(), "act").argmax(1).numpy()
        state, reward, (ended,) = CARTPOLE.physics.move(state, action, whole)
        total += reward[0]
    assert found.tolist() == [[total]]


@pytest.mark.parametrize(
    ("lessons", "looks", "told"),
    [
        ([lesson(0)], [5, 5], "rising"),
        ([lesson(0)], [-1, 5], "from 0 on"),
        ([lesson(0), Lesson([CARTPOLE], net(2, 1, hidden=(4,)), net(1, 1), 1)], [0, 64], "each `policy`"),
        ([lesson(0), Lesson([World("MountainCar-v0")], net(2, 1), net(1, 1), 1)], [0, 64], "one environment"),
    ],
)
def test_what_cannot_be_learned_together_is_refused(lessons, looks, told):
    with pytest.raises(ValueError, match=told):
        learn(copy.copy(lessons), looks)
