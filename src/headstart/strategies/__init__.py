"""Complete recipes of reuse, and their comparison on the user's own task."""

from .comparison import Result, compare
from .problem import Budget, Problem
from .table import STRATEGIES, Strategy, applicable
from .trial import Trained, Trial

__all__ = [
    "STRATEGIES",
    "Budget",
    "Problem",
    "Result",
    "Strategy",
    "Trained",
    "Trial",
    "applicable",
    "compare",
]
