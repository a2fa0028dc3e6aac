"""Objectives for a task that is met once with labels and once, elsewhere, without."""

from .dann import DANN
from .mmd import MMD

__all__ = ["DANN", "MMD"]
