"""The value alone: where it is good to be often stays the same where what to do does not.

References:
    Taylor & Stone (JMLR 2009), section 3 on what may be transferred,
    https://www.jmlr.org/papers/v10/taylor09a.html
"""

from __future__ import annotations

from ...rl import Lesson
from ..strategy import Strategy
from .arena import Arena
from .trial import Trial


def run(trial: Trial) -> Lesson:
    """Learn a new policy with the old value."""
    return trial.lesson(trial.fresh()[0], trial.source()[1])


CRITIC = Strategy(
    name="critic",
    run=run,
    summary="a new policy, with the old value as a start",
    needs=Arena.valued,
    reused="the value, as a start",
)
