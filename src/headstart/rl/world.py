"""A world to act in: an environment, and what is set otherwise in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import unknown, wrong
from . import _gym
from ._gym import Make
from .physics import PHYSICS, Features, Physics

PREFIX = "gymnasium:"  # asks for Gymnasium's own environment where we have the equations as well
LOOKS = 5  # episodes of random actions, by which a world of Gymnasium is measured


@dataclass(frozen=True, eq=False)
class World:
    """Name an environment and a context.

    The four classic controls (``CartPole-v1``, ``Acrobot-v1``, ``MountainCar-v0``, ``Pendulum-v1``) run on
    our own equations, many episodes at once; ``"gymnasium:CartPole-v1"`` asks for Gymnasium's own. Any other
    name, or a function that makes an environment, is Gymnasium's too: numbers to observe, actions to count.
    ``Meadow`` is a world of our own, whose contexts differ in their rewards.

    Args:
        env: a name, or a function without arguments that returns an environment of Gymnasium.
        name: for the report; made of the environment and the context where it is left out.
        context: fields that are set otherwise than usual, such as ``{"gravity": 20}``. Those of a classic
            control are named in ``PHYSICS[env].fields``; of others each number that the environment keeps.
        actions: into how many even steps an action that is a number is divided.
        scale: the returns that count as 0 and as 1; known of the classic controls. Else 0 is the mean return
            of random actions, and 1 Gymnasium's ``reward_threshold``.
        features: a function of observations before ``(n, D)``, actions ``(n,)`` and observations after
            ``(n, D)`` that gives the parts ``(n, F)`` that rewards are a weighted sum of, for ``successor``.

    Raises:
        ValueError: for an unknown environment or field, a field without effect, a value that is not finite or
            not above 0 where it has to be, continuous actions without ``actions``, rewards that are NaN, an
            environment that ends at once, or no known scale.
        ModuleNotFoundError: if Gymnasium, or what the environment needs, is not installed.

    Example:
        >>> heavy = World("CartPole-v1", context={"gravity": 20})
        >>> heavy.name, heavy.observations, heavy.actions_count
        ('CartPole-v1 gravity=20', 4, 2)
    """

    env: Make
    name: str = ""
    context: Mapping[str, float] = field(default_factory=dict)
    actions: int | None = None
    scale: tuple[float, float] | None = None
    features: Features | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.env, str) and not callable(self.env):
            expected = "a name, or a function that makes an environment"
            raise wrong("`env`", expected=expected, found=repr(self.env), error=TypeError)
        object.__setattr__(self, "context", {k: _number(k, v) for k, v in self.context.items()})
        if not self.name:
            words = [str(self.env) if isinstance(self.env, str) else getattr(self.env, "__name__", "world")]
            words += [f"{key}={value:g}" for key, value in self.context.items()]
            object.__setattr__(self, "name", " ".join(words).removeprefix(PREFIX))
        if self.physics is not None:
            self._check_context(self.physics)
            self._check_actions(self.physics.actions is None)
        else:
            assert self.facts  # made once, so that what is wrong is told here
        if self.scale is not None and len(self.scale) != 2:
            raise wrong("`scale`", expected="two returns", found=self.scale)
        low, high = self.points
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise wrong("`scale`", expected="two finite returns, the lower one first", found=(low, high))
        if self.features is None and self.physics is not None:
            object.__setattr__(self, "features", self.physics.features)
        if self.features is not None:
            self._check_features(self.features)

    @property
    def physics(self) -> Physics | None:
        """Our own equations, where the environment is one of those that we have."""
        return PHYSICS.get(self.env) if isinstance(self.env, str) else None

    @property
    def whole(self) -> dict[str, float]:
        """Every field's value, with the number of actions among them."""
        assert self.physics is not None
        return {**self.physics.usual, **self.context, "actions": float(self.actions_count)}

    @property
    def observations(self) -> int:
        """How many numbers an observation has."""
        return len(self.units)

    @property
    def actions_count(self) -> int:
        """How many actions there are."""
        if self.physics is not None:
            return self.physics.actions or self.actions or 0
        return self.facts.actions

    @property
    def limit(self) -> int:
        """After how many steps an episode is cut off."""
        return self.physics.limit if self.physics is not None else self.facts.limit

    @property
    def units(self) -> Sequence[float]:
        """What each number of an observation is divided by before a net learns from it."""
        return self.physics.scale if self.physics is not None else self.facts.units

    @property
    def reward(self) -> float:
        """What rewards are divided by before a net learns from them."""
        return self.physics.reward if self.physics is not None else self.facts.reward

    @property
    def discount(self) -> float:
        """What a reward counts less for each step that it is away."""
        return self.physics.discount if self.physics is not None else self.facts.discount

    @property
    def points(self) -> tuple[float, float]:
        """The returns that count as 0 and as 1."""
        if self.scale is not None:
            return self.scale
        return (self.physics.low, self.physics.high) if self.physics is not None else self.facts.points

    @property
    def called(self) -> str:
        """The environment's name for Gymnasium, or the function that makes it."""
        return self.env.removeprefix(PREFIX) if isinstance(self.env, str) else self.env  # type: ignore[return-value]

    def make(self) -> Any:
        """Make Gymnasium's environment, set to the context."""
        return _gym.made(self.called, self.context)

    def action(self, number: int) -> Any:
        """Return what Gymnasium's environment takes for an action."""
        if self.facts.forces is None:
            return number
        low, high = self.facts.forces
        return np.array([low + (high - low) * number / (self.facts.actions - 1)], dtype=np.float32)

    def at(self, context: Mapping[str, float], name: str = "") -> World:
        """Return the same world with other values of some fields."""
        return replace(self, name=name, context={**self.context, **context})

    def _check_context(self, physics: Physics) -> None:
        for key, value in self.context.items():
            if key not in physics.fields:
                raise unknown(f"field of the context of {physics.name}", key, physics.fields)
            what = physics.fields[key]
            if what.useless:
                raise wrong(
                    f"field {key!r} of the context", expected="one with an effect", found=what.useless
                )
            if not math.isfinite(value) or (what.positive and value <= 0):
                expected = "above 0 and finite" if what.positive else "finite"
                raise wrong(f"`{key}` of the context", expected=expected, found=value)

    def _check_features(self, features: Features) -> None:
        x = np.zeros((2, self.observations))
        found = np.asarray(features(x, np.zeros(2, np.int64), x))
        if found.ndim != 2 or len(found) != 2 or not np.isfinite(found).all():
            shape = f"{found.shape} of two steps" if np.isfinite(found).all() else "NaN or infinity"
            raise wrong(f"`features` of {self.name!r}", expected="finite numbers (n, F)", found=shape)

    def _check_actions(self, continuous: bool) -> None:
        if continuous and (self.actions is None or self.actions < 2 or self.actions % 1):
            raise wrong(
                f"actions of {self.name!r}",
                expected="a few to choose from",
                found="any number" if self.actions is None else f"`actions={self.actions}`",
                hint="pass `actions=5`: that many even steps between its least and its largest",
            )
        if not continuous and self.actions is not None:
            raise wrong("`actions`", expected="left out where they are counted", found=self.actions)

    @cached_property
    def facts(self) -> Facts:
        """What is found out of Gymnasium's environment when the world is made."""
        return _measured(self)


@dataclass(frozen=True)
class Facts:
    """What is found out of an environment by trying it."""

    actions: int
    forces: tuple[float, float] | None
    limit: int
    units: tuple[float, ...]
    reward: float
    discount: float
    points: tuple[float, float]


def _measured(world: World) -> Facts:
    env, gym = world.make(), _gym.gymnasium()
    space, what = env.action_space, f"episodes of {world.name!r}"
    line = isinstance(space, gym.spaces.Box) and space.shape == (1,)
    if not isinstance(space, gym.spaces.Discrete) and not line:
        raise wrong(f"actions of {world.name!r}", expected="counted, or one number", found=space)
    world._check_actions(line)
    forces = (float(space.low[0]), float(space.high[0])) if line else None
    count = world.actions if line else int(space.n)
    assert count is not None
    physics = PHYSICS.get(world.called) if isinstance(world.called, str) else None
    limit = env.spec.max_episode_steps if env.spec is not None else None
    act = _act(forces, count)
    if physics is not None:
        world._check_context(physics)
        points = physics.low, physics.high
        return Facts(
            count,
            forces,
            limit or physics.limit,
            tuple(physics.scale),
            physics.reward,
            physics.discount,
            points,
        )
    _gym.check_effect(world.called, world.context, act)
    rows, returns, rewards = [], [], []
    rng, first = np.random.default_rng(0), 0
    for episode in range(LOOKS):
        x, _ = env.reset(seed=episode)
        total, steps, over = 0.0, 0, False
        while not over and steps < (limit or 1000):
            rows.append(_row(x, env, world))
            x, reward, ended, cut, _ = env.step(act(env, int(rng.integers(count))))
            total, steps, over = total + float(reward), steps + 1, ended or cut
            rewards.append(float(reward))
        returns.append(total)
        first = max(first, steps)
    env.close()
    if not np.isfinite(rewards).all():
        hint = "random actions find it in five episodes: mend the environment, or cut its rewards off"
        raise wrong(f"rewards of {world.name!r}", expected="finite", found="NaN or infinity", hint=hint)
    if first <= 1:
        hint = f"all {LOOKS} episodes of random actions did: look at what its `reset` and `step` give"
        raise wrong(what, expected="of two steps at least", found="one that ends at once", hint=hint)
    if not np.isfinite(rows).all():
        raise wrong(f"observations of {world.name!r}", expected="finite", found="NaN or infinity")
    units = np.maximum(np.std(rows, axis=0), np.ptp(rows, axis=0) / 4)  # what is rare is not made large
    units[units < 1e-3] = 1.0
    threshold = env.spec.reward_threshold if env.spec is not None else None
    if world.scale is None and threshold is None:
        raise wrong(
            f"`scale` of {world.name!r}",
            expected="the returns that count as 0 and as 1",
            found="none, and no `reward_threshold` in Gymnasium",
            hint=f"random actions get {np.mean(returns):.4g}; pass `scale=({np.mean(returns):.4g}, HIGH)`",
        )
    points = world.scale or (float(np.mean(returns)), float(threshold or 0.0))
    spread = max(float(np.std(rewards)), float(np.abs(rewards).mean())) * 20
    return Facts(count, forces, limit or 1000, tuple(units.tolist()), spread or 1.0, 0.99, points)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        found, hint = repr(value), f"as `context={{{name!r}: 1.5}}`"
        raise wrong(f"`{name}` of the context", expected="a number", found=found, hint=hint) from None


def _row(x: Any, env: Any, world: World) -> Any:
    found = np.asarray(x, float)
    if found.shape != env.observation_space.shape:
        expected = f"of the shape of its `observation_space`, {env.observation_space.shape}"
        raise wrong(f"observations of {world.name!r}", expected=expected, found=found.shape)
    return found


def _act(forces: tuple[float, float] | None, count: int) -> Any:
    def act(env: Any, number: int) -> Any:
        number = number % count
        if forces is None:
            return number
        return np.array([forces[0] + (forces[1] - forces[0]) * number / (count - 1)], dtype=np.float32)

    return act
