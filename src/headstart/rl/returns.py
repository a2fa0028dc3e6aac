"""What policies are worth: the returns of whole episodes.

Shapes: ``R`` runs, ``E`` episodes of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models import Net
from .physics import Numbers
from .play import play
from .stack import Stack
from .world import World


def returns(policies: Sequence[Net], worlds: Sequence[World], episodes: int, seed: int) -> Numbers:
    """Let each policy act in its world, always with the action that it finds best.

    Args:
        policies: of one shape.
        worlds: one of each policy, of one environment.
        episodes: of each; they begin alike for all policies.
        seed: of how they begin.

    Returns:
        the sum of the rewards of each episode, ``(R, E)``.

    Example:
        >>> from torch import nn
        >>> always_right = Net(nn.Linear(4, 1), {"act": nn.Linear(1, 2)})
        >>> returns([always_right], [World("CartPole-v1")], 3, seed=0).shape
        (1, 3)
    """
    return of_stack(Stack(policies, worlds[0].units), worlds, episodes, [seed] * len(worlds))[0]


def of_stack(
    stack: Stack,
    worlds: Sequence[World],
    episodes: int,
    seeds: Sequence[int],
    *,
    longest: float = float("inf"),
) -> tuple[Numbers, NDArray[Any]]:
    """Give returns and lengths of the episodes of all runs of a stack, ``(R, E)`` each.

    Args:
        seeds: of how the episodes of each run begin.
        longest: steps after which an episode is no longer followed.
    """
    stage = play([[world] for world in worlds], episodes, seeds)
    total, active = np.zeros((len(worlds), episodes)), np.ones((len(worlds), episodes), bool)
    length = np.zeros(active.shape, dtype=np.int64)
    with torch.no_grad():
        while active.any():
            x = torch.from_numpy(stage.look()).float() / stack.units
            reward, ended, cut, _ = stage.step(_greedy(stack, x, active))
            total += np.where(active, reward, 0.0)
            length += active
            active &= ~(ended | cut) & (length < longest)
    return total, length


def _greedy(stack: Stack, x: Tensor, active: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose the likeliest actions ``(R, E)``; runs that are through are not asked."""
    some = torch.from_numpy(np.flatnonzero(active.any(1)))
    actions = np.zeros(active.shape, dtype=np.int64)
    actions[some] = stack(x[some], some).argmax(2).numpy()
    return actions
