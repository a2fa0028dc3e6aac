"""Objectives for a task that is met once with labels and once, elsewhere, without."""

from ._dann import DANN
from ._mmd import MMD

__all__ = ["DANN", "MMD"]
