"""Objectives for tasks met one after another: what to lower while a pretrained net learns a new task."""

from ._l2sp import L2SP
from ._plus import Plus
from ._supervised import Supervised

__all__ = ["L2SP", "Plus", "Supervised"]
