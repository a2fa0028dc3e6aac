"""A car in a valley, too weak to climb the hill at once.

References:
    Moore (1990), Efficient memory-based learning for robot control; the equations of Gymnasium's
    ``MountainCar-v0``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._physics import Context, Field, Numbers, Physics

LEFT, RIGHT, FAST, GOAL = -1.2, 0.6, 0.07, 0.5


def _start(u: Numbers) -> Numbers:
    return np.stack([-0.6 + 0.2 * u[:, 0], np.zeros(len(u))], axis=1)


def _move(
    state: Numbers, action: NDArray[np.int64], c: Context
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    place, speed = state.T
    speed = speed + ((action - 1) * c["force"] + np.cos(3 * place) * (-c["gravity"]))
    speed = speed.clip(-FAST, FAST)
    place = (place + speed).clip(LEFT, RIGHT)
    speed = np.where((place == LEFT) & (speed < 0), 0.0, speed)
    ended = (place >= GOAL) & (speed >= 0)
    return np.stack([place, speed], axis=1), np.full(len(place), -1.0), ended


def _look(state: Numbers) -> Numbers:
    return state


def _attributes(c: Mapping[str, float]) -> dict[str, Any]:
    return {"force": c["force"], "gravity": c["gravity"]}


def _height(place: Numbers) -> Numbers:
    return np.stack([(place + 0.3) / 0.9, np.sin(3 * place) * 0.6], axis=-1)


def _draw(state: Numbers, c: Mapping[str, float]) -> list[Numbers]:
    around = np.linspace(0, 2 * np.pi, 20)
    car = 0.08 * np.stack([np.cos(around), np.sin(around)], axis=1)
    return [_height(np.linspace(LEFT, RIGHT, 50)), car + _height(state[0]) + [0.0, 0.08]]


MOUNTAINCAR = Physics(
    name="MountainCar-v0",
    fields={"force": Field(0.001, positive=False), "gravity": Field(0.0025)},
    actions=3,
    limit=200,
    scale=(0.5, 0.03),
    reward=20.0,
    discount=0.99,
    low=-200.0,
    high=-110.0,
    start=_start,
    move=_move,
    look=_look,
    attributes=_attributes,
    draw=_draw,
)
