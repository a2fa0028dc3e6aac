"""Held-out episodes, played as policies are scored: what speaks for one that is to take another's place.

Episodes of learning do not show it: there actions are drawn, the long ones are not over yet, and a policy
that always takes the action it finds best may still be caught where a drawn one gets out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..models import Net
from .physics import Numbers
from .returns import of_stack
from .stack import Stack
from .world import World

EPISODES = 5  # of each policy at most
SHARE = 0.05  # of the steps of a run that each look may cost, though one episode is always played


@dataclass(frozen=True, eq=False)
class Held:
    """Hold what a policy was worth in a few episodes of a world, with the actions that it finds best.

    Args:
        seed: of how the episodes begin.
        returns: of each, ``(E,)``.
        steps: of each, ``(E,)``.
    """

    seed: int
    returns: Numbers
    steps: NDArray[Any]

    @property
    def spent(self) -> int:
        """The steps of all of them."""
        return int(self.steps.sum())

    def first(self, count: int) -> Held:
        """Keep the first ones."""
        return Held(self.seed, self.returns[:count], self.steps[:count])

    def surpasses(self, other: Held) -> bool:
        """Tell whether these are worth more than the same episodes of another, by the error of that gain.

        A single episode, or equal gains in all, have no error: then it is enough to be worth as much.

        Example:
            >>> import numpy as np
            >>> one = Held(0, np.array([10.0, 20.0]), np.array([5, 5]))
            >>> one.surpasses(one), Held(0, np.array([9.0, 22.0]), one.steps).surpasses(one)
            (True, False)
        """
        gains = self.returns - other.returns[: len(self.returns)]
        error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
        return bool(gains.mean() >= error)


def held(policy: Net, world: World, seed: int, episodes: int = EPISODES) -> Held:
    """Play a few episodes; equal seeds begin alike.

    Example:
        >>> from torch import nn
        >>> always_right = Net(nn.Linear(4, 1), {"act": nn.Linear(1, 2)})
        >>> held(always_right, World("CartPole-v1"), seed=0).returns.shape
        (5,)
    """
    told, steps = of_stack(Stack([policy], world.units), [world], episodes, [seed])
    return Held(seed, told[0], steps[0])


def affordable(steps: NDArray[Any], most: float) -> int:
    """Tell how many episodes of so many steps may be played with ``most``: one at least.

    Example:
        >>> import numpy as np
        >>> affordable(np.array([200, 200, 200]), 500), affordable(np.array([200]), 100)
        (2, 1)
    """
    return max(1, int((steps.cumsum() <= most).sum()))
