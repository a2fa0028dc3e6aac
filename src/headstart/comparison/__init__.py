"""The main job: which way of reuse is best for a problem, by how much, and did it do harm."""

from ._check import Checked, check
from ._compare import compare
from ._rank import Ranked, rank
from .plan import Asked, applicable
from .problem import Problem
from .question import Choice, Metric, Outcome, Question
from .result import Best, Result

__all__ = [
    "Asked", "Best", "Checked", "Choice", "Metric", "Outcome", "Problem", "Question", "Ranked", "Result",
    "applicable", "check", "compare", "rank",
]  # fmt: skip
