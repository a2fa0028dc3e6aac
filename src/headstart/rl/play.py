"""Episodes side by side: of our own worlds all at once, of Gymnasium's one after another.

Shapes: ``R`` runs, ``E`` episodes of each side by side, ``D`` numbers of an observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import wrong
from .physics import Numbers, Physics
from .world import World

Ends = NDArray[np.bool_]


class Play(Protocol):
    """Episodes that begin anew where they end."""

    def look(self) -> Numbers:
        """Return what is seen, ``(R, E, D)``."""

    def step(self, actions: NDArray[np.int64]) -> tuple[Numbers, Ends, Ends, Numbers]:
        """Act, ``(R, E)``: give rewards, which episodes ended, which were cut off, and what was seen last.

        Where an episode is over, the next ``look`` is that of a new one.
        """


def play(worlds: Sequence[Sequence[World]], episodes: int, seeds: Sequence[int]) -> Play:
    """Begin episodes in the worlds of each run, which take turns, each run with its own random numbers.

    Args:
        worlds: of each run, one or several.
        episodes: of each run, side by side.
        seeds: of each run.

    Raises:
        ValueError: if worlds of several kinds stand side by side.
    """
    physics = {world.physics for run in worlds for world in run}
    if len(physics) > 1:
        raise wrong("`worlds`", expected="of one environment", found=f"{len(physics)}")
    one = physics.pop()
    if one is None:
        return _Gym(worlds, episodes, seeds)
    return _Own(one, worlds, episodes, seeds)


class _Own:
    def __init__(
        self, physics: Physics, worlds: Sequence[Sequence[World]], episodes: int, seeds: Sequence[int]
    ) -> None:
        self.physics, self.shape = physics, (len(worlds), episodes)
        each = [run[e % len(run)].whole for run in worlds for e in range(episodes)]
        self.context = {name: np.array([one[name] for one in each]) for name in each[0]}
        self.rngs = [np.random.default_rng(seed) for seed in seeds]
        self.width = 4
        self.state = self._new(np.ones(self.shape, bool))
        self.age = np.zeros(len(each), dtype=np.int64)

    def _new(self, at: Ends) -> Numbers:
        drawn = [self.rngs[r].random((int(n), self.width)) for r, n in enumerate(at.sum(1)) if n]
        return self.physics.start(np.concatenate(drawn))

    def look(self) -> Numbers:
        return self.physics.look(self.state).reshape(*self.shape, -1)

    def step(self, actions: NDArray[np.int64]) -> tuple[Numbers, Ends, Ends, Numbers]:
        self.state, reward, ended = self.physics.move(self.state, actions.ravel(), self.context)
        self.age += 1
        cut = (self.age >= self.physics.limit) & ~ended
        last = self.look()
        over = (ended | cut).reshape(self.shape)
        if over.any():
            self.state = self.state.copy()  # what was seen last may be a view of it
            self.state[over.ravel()] = self._new(over)
            self.age[over.ravel()] = 0
        return reward.reshape(self.shape), ended.reshape(self.shape), cut.reshape(self.shape), last


class _Gym:
    def __init__(self, worlds: Sequence[Sequence[World]], episodes: int, seeds: Sequence[int]) -> None:
        self.shape = len(worlds), episodes
        self.worlds = [run[e % len(run)] for run in worlds for e in range(episodes)]
        self.envs: list[Any] = [world.make() for world in self.worlds]
        begun = [int(n) for seed in seeds for n in np.random.SeedSequence(seed).generate_state(episodes)]
        self.seen = np.stack([env.reset(seed=n)[0] for env, n in zip(self.envs, begun, strict=True)])
        self.age = np.zeros(len(self.envs), dtype=np.int64)

    def look(self) -> Numbers:
        return self.seen.astype(np.float64).reshape(*self.shape, -1)

    def step(self, actions: NDArray[np.int64]) -> tuple[Numbers, Ends, Ends, Numbers]:
        reward, flags = np.zeros(len(self.envs)), np.zeros((2, len(self.envs)), bool)
        last = np.zeros_like(self.seen, dtype=np.float64)
        self.age += 1
        self.seen = self.seen.copy()
        for i, (env, world) in enumerate(zip(self.envs, self.worlds, strict=True)):
            x, gained, ended, cut, _ = env.step(world.action(int(actions.flat[i])))
            if not np.isfinite(gained):
                hint = f"it came after {self.age[i]} steps of an episode"
                raise wrong(f"rewards of {world.name!r}", expected="finite", found=gained, hint=hint)
            cut = (cut or self.age[i] >= world.limit) and not ended
            reward[i], flags[0, i], flags[1, i], last[i] = gained, ended, cut, x
            if ended or cut:
                x, self.age[i] = env.reset()[0], 0
            self.seen[i] = x
        shaped = flags.reshape(2, *self.shape)
        return reward.reshape(self.shape), shaped[0], shaped[1], last.reshape(*self.shape, -1)
