"""Two links that hang, swung up by a torque at the joint between them.

References:
    Sutton & Barto (2018), section 11.4 of the first edition; the equations of Gymnasium's ``Acrobot-v1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._physics import Context, Field, Numbers, Physics

STEP, GRAVITY = 0.2, 9.8
FAST = 4 * pi, 9 * pi


def _start(u: Numbers) -> Numbers:
    return (-0.1 + 0.2 * u).astype(np.float32).astype(np.float64)


def _slope(s: Numbers, torque: Numbers, c: Context) -> Numbers:
    """Return the time derivative of angles and speeds, ``(n, 4)``."""
    m1, m2, l1, lc1, lc2 = c["mass1"], c["mass2"], c["length1"], c["centre1"], c["centre2"]
    inertia = c["inertia"]
    one, two, fast1, fast2 = s.T
    cos, sin = np.cos(two), np.sin(two)
    d1 = m1 * lc1**2 + m2 * (l1**2 + lc2**2 + 2 * l1 * lc2 * cos) + inertia + inertia
    d2 = m2 * (lc2**2 + l1 * lc2 * cos) + inertia
    phi2 = m2 * lc2 * GRAVITY * np.cos(one + two - pi / 2.0)
    phi1 = (
        -m2 * l1 * lc2 * fast2**2 * sin
        - 2 * m2 * l1 * lc2 * fast2 * fast1 * sin
        + (m1 * lc1 + m2 * l1) * GRAVITY * np.cos(one - pi / 2)
        + phi2
    )
    second = (torque + d2 / d1 * phi1 - m2 * l1 * lc2 * fast1**2 * sin - phi2) / (
        m2 * lc2**2 + inertia - d2**2 / d1
    )
    return np.stack([fast1, fast2, -(d2 * second + phi1) / d1, second], axis=1)


def _move(
    state: Numbers, action: NDArray[np.int64], c: Context
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    torque = (action - 1) * c["torque"]
    k1 = _slope(state, torque, c)
    k2 = _slope(state + STEP / 2.0 * k1, torque, c)
    k3 = _slope(state + STEP / 2.0 * k2, torque, c)
    k4 = _slope(state + STEP * k3, torque, c)
    new = state + STEP / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)
    for angle in new[:, 0], new[:, 1]:
        while (over := angle > pi).any():
            angle[over] -= 2 * pi
        while (under := angle < -pi).any():
            angle[under] += 2 * pi
    new[:, 2] = new[:, 2].clip(-FAST[0], FAST[0])
    new[:, 3] = new[:, 3].clip(-FAST[1], FAST[1])
    ended = -np.cos(new[:, 0]) - np.cos(new[:, 1] + new[:, 0]) > 1.0
    return new, np.where(ended, 0.0, -1.0), ended


def _look(state: Numbers) -> Numbers:
    one, two, fast1, fast2 = state.T
    return np.stack([np.cos(one), np.sin(one), np.cos(two), np.sin(two), fast1, fast2], axis=1)


def _attributes(c: Mapping[str, float]) -> dict[str, Any]:
    return {
        "LINK_LENGTH_1": c["length1"],
        "LINK_MASS_1": c["mass1"],
        "LINK_MASS_2": c["mass2"],
        "LINK_COM_POS_1": c["centre1"],
        "LINK_COM_POS_2": c["centre2"],
        "LINK_MOI": c["inertia"],
        "AVAIL_TORQUE": [-c["torque"], 0.0, c["torque"]],
    }


def _draw(state: Numbers, c: Mapping[str, float]) -> list[Numbers]:
    one, two = state[:2]
    whole = c["length1"] + 1.0
    elbow = c["length1"] / whole * np.array([np.sin(one), -np.cos(one)])
    end = elbow + np.array([np.sin(one + two), -np.cos(one + two)]) / whole
    height = c["length1"] / whole
    return [np.array([[-1.0, height], [1.0, height]]), np.stack([np.zeros(2), elbow, end])]


ACROBOT = Physics(
    name="Acrobot-v1",
    fields={
        "torque": Field(1.0, positive=False),
        "mass1": Field(1.0),
        "mass2": Field(1.0),
        "length1": Field(1.0),
        "length2": Field(1.0, useless="the second link's length is only drawn; its dynamics know `centre2`"),
        "centre1": Field(0.5),
        "centre2": Field(0.5),
        "inertia": Field(1.0),
    },
    actions=3,
    limit=500,
    scale=(1.0, 1.0, 1.0, 1.0, 3.0, 6.0),
    reward=20.0,
    discount=0.99,
    low=-500.0,
    high=-100.0,
    start=_start,
    move=_move,
    look=_look,
    attributes=_attributes,
    draw=_draw,
)
