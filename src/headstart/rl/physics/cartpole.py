"""A pole on a cart, kept upright by pushing the cart.

References:
    Barto, Sutton & Anderson (1983), https://doi.org/10.1109/TSMC.1983.6313077; the equations of Gymnasium's
    ``CartPole-v1``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._physics import Context, Field, Numbers, Physics

STEP = 0.02  # seconds
EDGE, FALLEN = 2.4, 12 * 2 * math.pi / 360


def _start(u: Numbers) -> Numbers:
    return -0.05 + 0.1 * u


def _move(
    state: Numbers, action: NDArray[np.int64], c: Context
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    x, speed, angle, spin = state.T
    force = np.where(action == 1, c["force"], -c["force"])
    total, moment = c["masspole"] + c["masscart"], c["masspole"] * c["length"]
    cos, sin = np.cos(angle), np.sin(angle)
    push = (force + moment * np.square(spin) * sin) / total
    turning = (c["gravity"] * sin - cos * push) / (
        c["length"] * (4.0 / 3.0 - c["masspole"] * np.square(cos) / total)
    )
    moving = push - moment * turning * cos / total
    new = np.stack(
        [x + STEP * speed, speed + STEP * moving, angle + STEP * spin, spin + STEP * turning], axis=1
    )
    ended = (np.abs(new[:, 0]) > EDGE) | (np.abs(new[:, 2]) > FALLEN)
    return new, np.ones(len(new)), ended


def _look(state: Numbers) -> Numbers:
    return state


def _attributes(c: Mapping[str, float]) -> dict[str, Any]:
    return {
        "gravity": c["gravity"],
        "length": c["length"],
        "masspole": c["masspole"],
        "masscart": c["masscart"],
        "force_mag": c["force"],
        "total_mass": c["masspole"] + c["masscart"],
        "polemass_length": c["masspole"] * c["length"],
    }


def _draw(state: Numbers, c: Mapping[str, float]) -> list[Numbers]:
    x, angle = state[0] / EDGE, state[2]
    corners = np.array([[-0.15, -0.1], [0.15, -0.1], [0.15, 0.05], [-0.15, 0.05], [-0.15, -0.1]])
    pole = np.array([[0.0, 0.0], [np.sin(angle), np.cos(angle)]])
    rail = np.array([[-1.0, -0.5], [1.0, -0.5]])
    return [rail, corners + np.array([x, -0.4]), pole + np.array([x, -0.35])]


CARTPOLE = Physics(
    name="CartPole-v1",
    fields={
        "gravity": Field(9.8),
        "length": Field(0.5),
        "masspole": Field(0.1),
        "masscart": Field(1.0),
        "force": Field(10.0, positive=False),
    },
    actions=2,
    limit=500,
    scale=(1.0, 1.0, 0.1, 1.0),
    reward=20.0,
    discount=0.99,
    low=20.0,
    high=475.0,
    start=_start,
    move=_move,
    look=_look,
    attributes=_attributes,
    draw=_draw,
)
