"""Which world helps which: what a policy of each is worth in each, before it learns there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...rl import World, returns
from ...rl.physics import Numbers
from .arena import Arena, Budget
from .trial import Shared, scaled

EPISODES = 55_555  # seed of the episodes


def crossing(worlds: Sequence[World], *, seeds: int = 3, budget: Budget | None = None) -> Numbers:
    """Learn a policy in each world, and let it act in all.

    A helps B without B helping A where an entry is high and the one across the diagonal is not.

    Args:
        worlds: of one environment, two at least.
        seeds: policies of each world.
        budget: steps in each world, and episodes of each pair.

    Returns:
        scores on the worlds' scales, ``(seeds, from, to)``.

    Raises:
        ValueError: if worlds share a name or are of several environments.

    Example:
        >>> worlds = [World("CartPole-v1"), World("CartPole-v1", context={"gravity": 20})]
        >>> tiny = Budget(pretrain=64, episodes=2, hidden=(4,))
        >>> crossing(worlds, seeds=2, budget=tiny).shape
        (2, 2, 2)
    """
    budget, starts = budget or Budget(), Shared(range(seeds))
    problem = Arena(worlds[0], worlds[1:], budget=budget)
    scores = np.zeros((seeds, len(worlds), len(worlds)))
    for place, source in enumerate(worlds):
        policies = [starts.learned_in([source], problem, seed).policies[-1] for seed in range(seeds)]
        for to, world in enumerate(worlds):
            told = returns(policies, [world] * seeds, budget.episodes, EPISODES)
            scores[:, place, to] = scaled(world, told.mean(1))
    return scores
