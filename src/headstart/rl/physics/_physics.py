"""How a world moves, for many episodes at once.

Shapes: ``n`` episodes side by side, ``S`` numbers of a state, ``D`` of an observation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Context = Mapping[str, Numbers]  # each field's value in each episode (n,)
Move = Callable[[Numbers, NDArray[np.int64], Context], tuple[Numbers, Numbers, NDArray[np.bool_]]]
Features = Callable[[Numbers, NDArray[np.int64], Numbers], Numbers]


@dataclass(frozen=True)
class Field:
    """Describe one field of a context.

    Args:
        usual: its value where a context leaves it out.
        positive: whether it has to be above 0; a force or a torque may be reversed.
        useless: why it has no effect, where it has none.
    """

    usual: float
    positive: bool = True
    useless: str = ""


@dataclass(frozen=True, eq=False)
class Physics:
    """Hold the equations of a world.

    Args:
        name: as Gymnasium calls it, if it has it.
        fields: of a context.
        actions: how many there are; of forces along one line so many, evenly spaced, ``None`` leaves open.
        limit: steps after which an episode is cut off.
        scale: what each number of an observation is divided by before a net learns from it, ``(D,)``.
        reward: what rewards are divided by before a net learns from them.
        discount: of rewards to come, by step.
        low: return of hardly any skill.
        high: return from which the world counts as solved.
        start: draws uniform numbers ``(n, S)`` in [0, 1) into states.
        move: states, actions and context to new states, rewards and which episodes ended.
        look: states to observations ``(n, D)``.
        attributes: a whole context to the attributes of Gymnasium's own environment, derived ones included.
        draw: a state and the values of its context to lines of a picture, each ``(points, 2)`` in [-1, 1].
        features: observations before, actions and observations after to the parts ``(n, F)`` that rewards are
            a weighted sum of, where they are one.
        rewarded: the fields of a context that are weights of these parts, and change nothing else.
    """

    name: str
    fields: Mapping[str, Field]
    actions: int | None
    limit: int
    scale: Sequence[float]
    reward: float
    discount: float
    low: float
    high: float
    start: Callable[[Numbers], Numbers]
    move: Move
    look: Callable[[Numbers], Numbers]
    attributes: Callable[[Mapping[str, float]], dict[str, Any]]
    draw: Callable[[Numbers, Mapping[str, float]], list[Numbers]]
    features: Features | None = None
    rewarded: Sequence[str] = ()
    usual: Mapping[str, float] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "usual", {name: one.usual for name, one in self.fields.items()})
