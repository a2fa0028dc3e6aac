"""Which world helps which: what a policy of each saves another that learns there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...models.fresh import copied
from ...rl import World, learn
from ...rl.physics import Numbers
from .arena import Arena, Budget, looks
from .trial import Shared, Trial, area, scaled

EPISODES = 55_555  # seed of the episodes


def crossing(
    worlds: Sequence[World], *, steps: int = 10_000, seeds: int = 3, budget: Budget | None = None
) -> Numbers:
    """Learn a policy in each world, go on learning with it in all of them, and hold that against a new one.

    A helps B without B helping A where an entry is high and the one across the diagonal is not.

    Args:
        worlds: of one environment, two at least.
        steps: in the world where each goes on; 0 asks for the jump start.
        seeds: policies of each world.
        budget: steps in each world beforehand, and episodes of each look.

    Returns:
        gains in the area under the learning curve over a new policy of the same seed, on the worlds' scales,
        ``(seeds, from, to)``.

    Raises:
        ValueError: if worlds share a name or are of several environments, or ``steps`` are below 0.

    Example:
        >>> worlds = [World("CartPole-v1"), World("CartPole-v1", context={"gravity": 20})]
        >>> tiny = Budget(pretrain=64, episodes=2, hidden=(4,))
        >>> crossing(worlds, steps=64, seeds=2, budget=tiny).shape
        (2, 2, 2)
    """
    budget, starts, seen = budget or Budget(), Shared(range(seeds)), looks([steps])
    gains = np.zeros((seeds, len(worlds), len(worlds)))
    for to, world in enumerate(worlds):
        problem = Arena(world, [*worlds[:to], *worlds[to + 1 :]], steps=[steps], budget=budget)
        trials = [Trial(problem, {}, seed, starts) for seed in range(seeds)]
        lessons = [trial.lesson(*trial.fresh()) for trial in trials]
        for source in worlds:
            for trial in trials:
                found = starts.learned_in([source], problem, trial.seed)
                lessons.append(trial.lesson(copied(found.policies[-1]), copied(found.value)))
        told = learn(lessons, seen, settings=budget.learning, episodes=budget.episodes, seed=EPISODES)
        areas = np.array([area(scaled(world, one.returns), seen).mean() for one in told])
        scratch, *others = areas.reshape(-1, seeds)
        gains[:, :, to] = np.stack(others, axis=1) - scratch[:, None]
    return gains
