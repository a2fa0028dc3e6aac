"""Gymnasium's environments: made, set to a context, and asked whether they are what a world needs."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import explain, unknown, wrong
from .physics import PHYSICS

TRIES = 200  # steps with the same actions, after which a field that moves nothing has no effect
Make = str | Callable[[], Any]  # a name, or a function that makes an environment


def gymnasium() -> ModuleType:
    """Import Gymnasium.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    try:
        return importlib.import_module("gymnasium")
    except ModuleNotFoundError as error:
        if error.name != "gymnasium":
            raise
        hint = 'pip install "headstart[rl]"'
        message = explain("gymnasium", expected="installed", found="no package gymnasium", hint=hint)
        raise ModuleNotFoundError(message, name="gymnasium") from None


def made(env: Make, context: Mapping[str, float] | None = None) -> Any:
    """Make an environment that observes a row of numbers, and set the fields of a context.

    Raises:
        ModuleNotFoundError: if Gymnasium, or a library that the environment needs, is missing.
        TypeError: if what is made is no environment.
        ValueError: for a name that Gymnasium does not know, a field that the environment does not have, or
            observations that make no row of numbers.
    """
    gym = gymnasium()
    try:
        found = gym.make(env) if isinstance(env, str) else env()
    except gym.error.DependencyNotInstalled as error:
        told = " ".join(str(error).split())
        hint = 'install what it names, as `pip install "gymnasium[classic-control,box2d]"`'
        message = explain(f"environment {env!r}", expected="with its libraries", found=told, hint=hint)
        raise ModuleNotFoundError(message) from None
    except gym.error.Error as error:
        if isinstance(env, str) and env not in gym.registry:
            raise unknown("environment of Gymnasium", env, gym.registry) from None
        raise wrong(f"environment {env!r}", expected="one that can be made", found=error) from None
    if not isinstance(found, gym.Env):
        expected = "a function that makes an environment of Gymnasium"
        raise wrong("`env`", expected=expected, found=f"one that makes {found!r}", error=TypeError)
    _set(found, env, context or {})
    return _flat(found, gym)


def _flat(env: Any, gym: ModuleType) -> Any:
    """Let an environment observe a row of numbers: choices as zeros and a one, dicts and tuples in a row."""
    space = env.observation_space
    box = isinstance(space, gym.spaces.Box)
    if box and len(space.shape) == 1:
        return env
    if not space.is_np_flattenable or (box and len(space.shape) > 2):
        raise wrong(
            f"observations of {type(env.unwrapped).__name__}",
            expected="numbers, choices, or dicts and tuples of these",
            found=space,
            hint="pass a function that makes it with a wrapper which gives a row of numbers",
        )
    return gym.wrappers.FlattenObservation(env)


def _set(made: Any, env: Make, context: Mapping[str, float]) -> None:
    inner = made.unwrapped
    physics = PHYSICS.get(env) if isinstance(env, str) else None
    if physics is not None:
        for name, value in physics.attributes({**physics.usual, **context}).items():
            setattr(inner, name, value)
        if physics.actions is None:  # its largest torque was read when it was made
            most = np.float32(inner.max_torque)
            inner.action_space = gymnasium().spaces.Box(-most, most, (1,), np.float32)
        return
    fields = fields_of(inner)
    for name, value in context.items():
        if name not in fields:
            raise unknown("field of the context", name, fields)
        setattr(inner, name, value)


def fields_of(inner: Any) -> dict[str, float]:
    """List the numbers that an environment keeps, each of which may be a field of a context."""
    names = [name for name in dir(inner) if not name.startswith("_")]
    there = {name: inspect(inner, name) for name in names}
    return {
        name: float(value)
        for name, value in there.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def inspect(inner: Any, name: str) -> Any:
    """Read an attribute; None where reading it fails."""
    try:
        return getattr(inner, name)
    except Exception:
        return None


def path(env: Make, context: Mapping[str, float], act: Callable[[Any, int], Any]) -> list[NDArray[Any]]:
    """Follow an environment over some episodes with random actions that do not depend on it."""
    world, rng = made(env, context), np.random.default_rng(0)
    seen = [np.asarray(world.reset(seed=0)[0], float)]
    for number in rng.integers(1 << 16, size=TRIES):
        x, reward, ended, cut, _ = world.step(act(world, int(number)))
        seen.append(np.append(np.asarray(x, float).ravel(), reward))
        if ended or cut:
            seen.append(np.asarray(world.reset()[0], float))
    world.close()
    return seen


def check_effect(env: Make, context: Mapping[str, float], act: Callable[[Any, int], Any]) -> None:
    """Raise ``ValueError`` for a field whose value moves nothing."""
    for name in context:
        usual = {key: value for key, value in context.items() if key != name}
        with_it, without = path(env, context, act), path(env, usual, act)
        alike = len(with_it) == len(without) and all(map(np.array_equal, with_it, without))
        plain = fields_of(made(env).unwrapped).get(name)
        if alike and plain != context[name]:
            raise wrong(
                f"field {name!r} of the context",
                expected="one that changes what happens",
                found=f"the same {TRIES} steps with and without it",
                hint="it may be read when the environment is made: pass a function that makes it",
            )
