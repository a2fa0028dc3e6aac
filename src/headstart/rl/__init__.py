"""Worlds to act in, policies that learn in them, and what one world's policy is worth in another."""

from .physics import PHYSICS, Field, Physics
from .ppo import Learned, Lesson, Settings, learn
from .returns import returns
from .world import World

__all__ = ["PHYSICS", "Field", "Learned", "Lesson", "Physics", "Settings", "World", "learn", "returns"]
