"""Complete recipes of reuse: what a trial is given, and the strategies that are run in it."""

from .bound import bound
from .budget import Budget
from .candidate import Candidate
from .recipes import AS_IT_IS, FURTHER, NO_REUSE, SIDE_BY_SIDE, STRATEGIES, pair
from .situation import Situation
from .starts import Starts
from .strategy import Strategy
from .trial import Trained, Trial

__all__ = [
    "AS_IT_IS", "FURTHER", "NO_REUSE", "SIDE_BY_SIDE", "STRATEGIES", "Budget", "Candidate", "Situation",
    "Starts", "Strategy", "Trained", "Trial", "bound", "pair",
]  # fmt: skip
