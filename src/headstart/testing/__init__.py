"""Checks that any method of a seam must pass; run them on your own methods."""

from .adaptation import check_adaptation
from .objective import check_objective
from .score import check_score
from .weighing import check_weighing

__all__ = ["check_adaptation", "check_objective", "check_score", "check_weighing"]
