"""Worlds to act in, policies that learn in them, and what one world's policy is worth in another.

``Problem`` and ``Budget`` stand in the rooms above, beside those of the other fields, and are found here
as well.
"""

import importlib
from typing import Any

from .bridge import Walk, bridge, fitted, walk
from .film import film
from .imported import imported
from .physics import PHYSICS, Field, Physics
from .ppo import Learned, Lesson, Settings, learn
from .returns import returns
from .world import World

_ABOVE = {
    "Problem": "comparison.rl",
    "Budget": "strategies.rl",
    "Trial": "strategies.rl",
    "crossing": "strategies.rl",
}

__all__ = [
    "PHYSICS", "Budget", "Field", "Learned", "Lesson", "Physics", "Problem", "Settings", "Trial", "Walk",
    "World", "bridge", "crossing", "film", "fitted", "imported", "learn", "returns", "walk",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ABOVE:
        return getattr(importlib.import_module(f"headstart.{_ABOVE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
