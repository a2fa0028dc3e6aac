"""Our own equations are those of Gymnasium, and what is no world is refused."""

import builtins
import importlib.util
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from headstart.rl import PHYSICS, World
from headstart.rl.play import play

gym = pytest.importorskip("gymnasium", reason="needs the extra `rl`")

KNOWN = [env for env in PHYSICS if env in gym.registry]
OTHER = {"gravity": 1.7, "length": 1.9, "force": -1.3, "torque": 0.4}  # factors; others are tripled
CHANGED = [
    (env, {name: one.usual * OTHER.get(name, 3.0)})
    for env, physics in PHYSICS.items()
    for name, one in physics.fields.items()
    if not one.useless
]


def world_of(env, context=None, **more):
    actions = 5 if "Pendulum-v1" in str(env) else None
    return World(env, context=context or {}, actions=actions, **more)


@pytest.mark.parametrize(
    ("env", "context"), [*((env, {}) for env in KNOWN), *(one for one in CHANGED if one[0] in KNOWN)]
)
def test_our_worlds_move_as_those_of_gymnasium(env, context):
    ours, physics = world_of(env, context), PHYSICS[env]
    theirs = world_of(f"gymnasium:{env}", context)
    inner, rng = theirs.make().unwrapped, np.random.default_rng(3)
    inner.reset(seed=1)
    whole = {name: np.full(1, value) for name, value in ours.whole.items()}
    state = physics.start(rng.random((1, 4)))
    for _ in range(150):
        action = int(rng.integers(ours.actions_count))
        inner.state = state[0].copy()
        inner.steps_beyond_terminated = None
        torque = np.array([(action / 2 - 1) * ours.whole.get("torque", 0)])
        if "Pendulum" in env:
            np.testing.assert_allclose(theirs.action(action), torque, rtol=1e-6)
        seen, reward, ended, _, _ = inner.step(torque if "Pendulum" in env else action)
        after, gained, over = physics.move(state, np.array([action]), whole)
        np.testing.assert_allclose(after[0], np.array(inner.state, float), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(physics.look(after)[0], seen, rtol=1e-6, atol=1e-6)  # theirs are float32
        assert gained[0] == pytest.approx(reward, abs=1e-12)
        assert over[0] == ended
        state = physics.start(rng.random((1, 4))) if ended else after


def test_a_context_changes_what_happens():
    for env, context in CHANGED:
        physics = PHYSICS[env]
        usual, other = (world_of(env, one) for one in ({}, context))
        state = physics.start(np.random.default_rng(0).random((1, 4))) + 0.01
        moved = [
            physics.move(
                state, np.array([usual.actions_count - 1]), {k: np.full(1, v) for k, v in one.whole.items()}
            )[:2]
            for one in (usual, other)
        ]
        assert not all(map(np.array_equal, *moved)), (env, context)


def test_episodes_are_cut_off_at_the_limit_and_begin_anew():
    stage = play([[world_of("MountainCar-v0")]], 2, [0])
    for step in range(1, 201):
        reward, ended, cut, last = stage.step(np.ones((1, 2), dtype=np.int64))
        assert cut.all() == (step == 200)
        if step < 200:
            np.testing.assert_array_equal(last, stage.look())
    assert not np.isclose(last, stage.look()).all()  # the last of the old episode, the first of the new
    assert not ended.any()
    assert (reward == -1).all()
    assert (abs(stage.look()[0, :, 0] + 0.5) <= 0.1).all()


def test_what_a_run_draws_does_not_depend_on_the_runs_beside_it():
    world, actions = world_of("CartPole-v1"), np.ones((2, 3), dtype=np.int64)
    both, alone = play([[world], [world]], 3, [5, 6]), play([[world]], 3, [6])
    for _ in range(40):
        both.step(actions), alone.step(actions[:1])
        np.testing.assert_array_equal(both.look()[1], alone.look()[0])


def test_the_same_world_of_gymnasium_gives_episodes_too():
    world = world_of("gymnasium:CartPole-v1", {"gravity": 20})
    assert world.make().unwrapped.gravity == 20
    stage, lengths = play([[world]], 2, [0]), np.zeros((1, 2))
    for _ in range(30):
        _, ended, _, _ = stage.step(np.zeros((1, 2), dtype=np.int64))
        lengths += 1
        assert not (ended & (lengths < 5)).any()
        lengths[ended] = 0
    assert stage.look().shape == (1, 2, 4)


def test_a_world_reaches_another_process():
    world = pickle.loads(pickle.dumps(world_of("Pendulum-v1", {"length": 1.5})))
    assert world.whole["length"] == 1.5
    assert world.whole["actions"] == 5
    assert world.name == "Pendulum-v1 length=1.5"


class Tiny(gym.Env):
    """Two steps, with a number that matters and one that does not."""

    observation_space = gym.spaces.Box(-9, 9, (2,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, reward=1.0, steps=3):
        self.weight, self.label, self.reward, self.steps = 1.0, 7.0, reward, steps

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = self.steps
        return self.np_random.random(2).astype(np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.full(2, self.weight * action, np.float32), self.reward, self.left == 0, False, {}


def test_any_environment_of_gymnasium_is_a_world():
    world = World(Tiny, context={"weight": 2}, scale=(0, 5))
    assert (world.observations, world.actions_count, world.points) == (2, 2, (0, 5))
    assert world.name == "Tiny weight=2"


class Grid(gym.Env):
    """Four places in a row, told by their number; the last is the goal."""

    observation_space, action_space = gym.spaces.Discrete(4, start=1), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 1
        return self.place, {}

    def step(self, action):
        self.place = max(1, self.place + (1 if action else -1))
        return self.place, -1.0, self.place == 4, False, {}


class Named(gym.ObservationWrapper):
    def __init__(self):
        super().__init__(Grid())
        number = gym.spaces.Box(0, 9, (1, 2))
        self.observation_space = gym.spaces.Dict({"place": Grid.observation_space, "twice": number})

    def observation(self, place):
        return {"place": place, "twice": np.full((1, 2), 2.0 * place, np.float32)}


@pytest.mark.parametrize(("env", "first"), [(Grid, [1, 0, 0, 0]), (Named, [1, 0, 0, 0, 2, 2])])
def test_choices_and_dicts_are_observed_in_a_row(env, first):
    world = World(env, scale=(-30, -3))
    stage = play([[world]], 2, [0])
    np.testing.assert_array_equal(stage.look(), [[first, first]])
    np.testing.assert_array_equal(stage.step(np.ones((1, 2), np.int64))[3][0, 0, :4], [0, 1, 0, 0])
    assert np.min(world.units) >= 0.25


def test_what_is_rare_is_not_made_large():
    class Rare(Tiny):
        def step(self, action):
            x, *rest = super().step(action)
            x[1] = 0.0
            return x, *rest

    assert World(Rare, scale=(0, 1)).units[1] == pytest.approx(0.25, abs=0.06)  # of [0, 1) where it begins


def test_a_field_that_is_met_only_now_and_then_has_an_effect():
    class Far(Grid):
        goal = 4

        def step(self, action):
            place, reward, _, cut, _ = super().step(action)
            return place, reward, place == self.goal, cut, {}

    assert World(Far, context={"goal": 3}, scale=(-30, -3)).context == {"goal": 3.0}


PICTURE = gym.spaces.Box(0, 255, (8, 8, 3), np.uint8)


class Picture(Tiny):
    observation_space = PICTURE


class Misshapen(Tiny):
    observation_space = gym.spaces.Box(-9, 9, (3,))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: World("CartPole-v1", context={"gravty": 1}), r'known name; found "gravty"; did you mean'),
        (lambda: World("CartPole-v1", context={"gravity": "high"}), r"a number; found 'high'; as `context="),
        (lambda: World("Acrobot-v1", context={"length2": 2}), "an effect; found .* only drawn; .*`centre2`"),
        (lambda: World("CartPole-v1", context={"length": 0}), "above 0 and finite; found 0"),
        (lambda: World("CartPole-v1", context={"force": math.nan}), "finite; found nan"),
        (lambda: World("Pendulum-v1"), "a few to choose from; found any number; pass `actions=5`"),
        (
            lambda: World("Pendulum-v1", actions=1),
            "a few to choose from; found `actions=1`; pass `actions=5`",
        ),
        (lambda: World("CartPole-v1", actions=5), "left out where they are counted; found 5"),
        (lambda: World("CartPol-v1"), 'known name; found "CartPol-v1"; did you mean'),
        (lambda: World("gymnasium:Pendulum-v1"), "a few to choose from; found any number; pass `actions=5`"),
        (lambda: World("CartPole-v1", scale=(5, 5)), "lower one first"),
        (lambda: World("CartPole-v1", scale=(5,)), "two returns"),
        (lambda: World(Tiny, context={"wieght": 2}, scale=(0, 1)), 'did you mean "weight"'),
        (
            lambda: World(Tiny, context={"label": 2}, scale=(0, 1)),
            "what happens; found the same 200 steps.*; it",
        ),
        (lambda: World(Tiny), r"pass `scale=\(3, HIGH\)`"),
        (lambda: World(lambda: Tiny(reward=math.nan), scale=(0, 1)), "finite; found NaN or infinity; random"),
        (lambda: World(lambda: Tiny(steps=1), scale=(0, 1)), "two steps at least; found .* at once; all 5"),
        (lambda: World(Picture, scale=(0, 1)), "numbers, choices, or dicts .*; found Box.*; pass a function"),
        (lambda: World(Misshapen, scale=(0, 1)), r"`observation_space`, \(3,\); found \(2,\)"),
    ],
)
def test_what_is_no_world_is_refused(make, told):
    with pytest.raises(ValueError, match=f"should be .*{told}"):
        make()


@pytest.mark.parametrize(("env", "told"), [(None, "a name, or"), (lambda: 3, "makes 3")])
def test_what_makes_no_environment_is_refused(env, told):
    with pytest.raises(TypeError, match=told):
        World(env)


def test_rewards_that_turn_to_nan_later_are_told_with_the_step():
    world = World(Tiny, scale=(0, 1))
    stage = play([[world]], 1, [0])
    stage.step(np.zeros((1, 1), np.int64))
    stage.envs[0].unwrapped.reward = math.nan
    with pytest.raises(
        ValueError, match="rewards of 'Tiny' should be finite; found nan; it came after 2 steps"
    ):
        stage.step(np.zeros((1, 1), np.int64))


@pytest.mark.parametrize("env", ["LunarLander-v3", "CarRacing-v3"])
def test_a_library_that_gymnasium_lacks_is_named_with_what_to_install(env):
    found = [importlib.util.find_spec(name) for name in ("Box2D", "pygame")]
    if all(found):
        pytest.skip("box2d and pygame are installed")
    with pytest.raises(
        ModuleNotFoundError, match=r"with its libraries; found .* not installed.*; install what"
    ):
        World(env)


def test_a_missing_library_is_named(monkeypatch):
    def broken():
        raise gym.error.DependencyNotInstalled("pygame is not installed")

    with pytest.raises(ModuleNotFoundError, match="pygame"):
        World(broken, scale=(0, 1))
    real = builtins.__import__
    monkeypatch.setattr(
        "headstart.rl._gym.importlib",
        SimpleNamespace(import_module=lambda name: real("no_such_gymnasium")),
    )
    with pytest.raises(ModuleNotFoundError, match="no_such_gymnasium"):
        World("gymnasium:CartPole-v1")


def test_gymnasium_missing_is_told_with_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="gymnasium")

    monkeypatch.setattr("headstart.rl._gym.importlib", SimpleNamespace(import_module=missing))
    with pytest.raises(ModuleNotFoundError, match=r'pip install "headstart\[rl\]"'):
        World("gymnasium:CartPole-v1")
