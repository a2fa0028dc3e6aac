"""Objectives for tasks met one after another: what to lower while a pretrained net learns a new task."""

from .l2sp import L2SP
from .plus import Plus
from .supervised import Supervised

__all__ = ["L2SP", "Plus", "Supervised"]
