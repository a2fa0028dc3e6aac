"""The loop, evaluation, runs on disk and the feature cache."""

from .atomic import write_atomic
from .distributed import synchronize
from .evaluate import Estimate, evaluate, predict, score
from .fit import History, fit, total
from .seeding import seeded

__all__ = [
    "Estimate", "History", "evaluate", "fit", "predict", "score", "seeded", "synchronize", "total",
    "write_atomic",
]  # fmt: skip
