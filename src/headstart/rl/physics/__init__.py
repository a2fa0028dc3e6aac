"""The four classic controls, vectorised, by the names that Gymnasium gives them."""

from ._physics import Field, Numbers, Physics
from .acrobot import ACROBOT
from .cartpole import CARTPOLE
from .mountaincar import MOUNTAINCAR
from .pendulum import PENDULUM

PHYSICS: dict[str, Physics] = {p.name: p for p in (CARTPOLE, ACROBOT, MOUNTAINCAR, PENDULUM)}

__all__ = ["PHYSICS", "Field", "Numbers", "Physics"]
