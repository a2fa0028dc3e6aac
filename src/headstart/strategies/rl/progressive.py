"""A new column beside the old one, which stays as it is and whose features the new one sees.

References:
    Rusu et al. (2016), Progressive neural networks, equation 1, https://arxiv.org/abs/1606.04671
"""

from __future__ import annotations

from ...rl import Lesson
from ...rl.columns import beside
from ..strategy import Strategy
from .arena import Arena
from .trial import Trial


def run(trial: Trial) -> Lesson:
    """Learn in a new column."""
    (old, _), (new, value) = trial.source(), trial.fresh()
    policy, moves = beside(old, new)
    return trial.lesson(policy, value, moves=moves)


PROGRESSIVE = Strategy(
    name="progressive",
    run=run,
    summary="a new column that sees the features of the old one, which stays",
    needs=Arena.alike,
    reused="the policy's features",
    frozen="the old column",
    paper="[Rusu et al. 2016](https://arxiv.org/abs/1606.04671)",
)
