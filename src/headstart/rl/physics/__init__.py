"""The four classic controls, vectorised, by the names that Gymnasium gives them, and a world of our own."""

from ._physics import Features, Field, Numbers, Physics
from .acrobot import ACROBOT
from .cartpole import CARTPOLE
from .meadow import MEADOW
from .mountaincar import MOUNTAINCAR
from .pendulum import PENDULUM

PHYSICS: dict[str, Physics] = {p.name: p for p in (CARTPOLE, ACROBOT, MOUNTAINCAR, PENDULUM, MEADOW)}

__all__ = ["PHYSICS", "Features", "Field", "Numbers", "Physics"]
