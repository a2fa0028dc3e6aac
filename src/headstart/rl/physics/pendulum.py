"""A pendulum, swung up and held upright by a torque from a few evenly spaced ones.

References:
    the equations of Gymnasium's ``Pendulum-v1``, whose torque is any number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._physics import Context, Field, Numbers, Physics

STEP, FAST = 0.05, 8.0


def _start(u: Numbers) -> Numbers:
    return (2 * u[:, :2] - 1) * [np.pi, 1.0]


def _move(
    state: Numbers, action: NDArray[np.int64], c: Context
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    angle, spin = state.T
    g, m, l = c["gravity"], c["mass"], c["length"]
    u = (2 * action / (c["actions"] - 1) - 1) * c["torque"]
    cost = (((angle + np.pi) % (2 * np.pi)) - np.pi) ** 2 + 0.1 * spin**2 + 0.001 * (u**2)
    spin = spin + (3 * g / (2 * l) * np.sin(angle) + 3.0 / (m * l**2) * u) * STEP
    spin = spin.clip(-FAST, FAST)
    return np.stack([angle + spin * STEP, spin], axis=1), -cost, np.zeros(len(state), bool)


def _look(state: Numbers) -> Numbers:
    angle, spin = state.T
    return np.stack([np.cos(angle), np.sin(angle), spin], axis=1)


def _attributes(c: Mapping[str, float]) -> dict[str, Any]:
    return {"g": c["gravity"], "m": c["mass"], "l": c["length"], "max_torque": c["torque"]}


def _draw(state: Numbers, c: Mapping[str, float]) -> list[Numbers]:
    return [0.9 * np.array([[0.0, 0.0], [np.sin(state[0]), np.cos(state[0])]])]


PENDULUM = Physics(
    name="Pendulum-v1",
    fields={
        "gravity": Field(10.0),
        "mass": Field(1.0),
        "length": Field(1.0),
        "torque": Field(2.0),
    },
    actions=None,
    limit=200,
    scale=(1.0, 1.0, 4.0),
    reward=20.0,
    discount=0.95,
    low=-1200.0,
    high=-200.0,
    start=_start,
    move=_move,
    look=_look,
    attributes=_attributes,
    draw=_draw,
)
