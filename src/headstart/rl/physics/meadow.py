"""A walk in a meadow with a red and a blue patch, whose rewards alone differ between contexts.

Not one of Gymnasium's: a world for policies that were learned for other rewards. The reward of a step is
``red * r + blue * b``, where ``r`` and ``b`` say how near the middle of each patch it led.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._physics import Context, Field, Numbers, Physics

MOVES = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
PATCHES, WIDE = np.array([[-0.7, -0.7], [0.7, 0.7]]), 0.4  # in a square from -1 to 1


def _start(u: Numbers) -> Numbers:
    return 1.2 * u[:, :2] - 0.6


def _near(place: Numbers) -> Numbers:
    away = np.square(place[:, None] - PATCHES).sum(2)
    return np.asarray(np.exp(-away / (2 * WIDE**2)))


def _features(before: Numbers, action: NDArray[np.int64], after: Numbers) -> Numbers:
    return _near(after)


def _move(
    state: Numbers, action: NDArray[np.int64], c: Context
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    new = (state + c["stride"][:, None] * MOVES[action]).clip(-1.0, 1.0)
    red, blue = _near(new).T
    return new, c["red"] * red + c["blue"] * blue, np.zeros(len(new), bool)


def _look(state: Numbers) -> Numbers:
    return state


def _attributes(c: Mapping[str, float]) -> dict[str, Any]:
    return {}


def _draw(state: Numbers, c: Mapping[str, float]) -> list[Numbers]:
    around = np.linspace(0, 2 * np.pi, 20)
    circle = np.stack([np.cos(around), np.sin(around)], axis=1)
    return [0.9 * patch + 0.3 * circle for patch in PATCHES] + [0.9 * state[0] + 0.06 * circle]


MEADOW = Physics(
    name="Meadow",
    fields={
        "red": Field(1.0, positive=False),
        "blue": Field(-1.0, positive=False),
        "stride": Field(0.2),
    },
    actions=5,
    limit=40,
    scale=(0.5, 0.5),
    reward=5.0,
    discount=0.95,
    low=0.0,
    high=30.0,
    start=_start,
    move=_move,
    look=_look,
    attributes=_attributes,
    draw=_draw,
    features=_features,
    rewarded=("red", "blue"),
)
