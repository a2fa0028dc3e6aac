"""Rewards for going where the old value was high; the best policy stays the best.

References:
    Ng, Harada & Russell (ICML 1999), theorem 1,
    https://people.eecs.berkeley.edu/~pabbeel/cs287-fa09/readings/NgHaradaRussell-shaping-ICML1999.pdf
"""

from __future__ import annotations

from ...rl import Lesson
from ..strategy import Strategy
from .arena import Arena
from .trial import Trial


def run(trial: Trial) -> Lesson:
    """Learn with the rise of the old value added to each reward."""
    return trial.lesson(*trial.fresh(), potential=trial.source()[1])


SHAPING = Strategy(
    name="shaping",
    run=run,
    summary="a new policy, rewarded for going where the old value rises",
    needs=Arena.valued,
    reused="the value, as a potential",
    paper="[Ng et al. 1999](https://people.eecs.berkeley.edu/~pabbeel/cs287-fa09/readings/"
    "NgHaradaRussell-shaping-ICML1999.pdf)",
)
