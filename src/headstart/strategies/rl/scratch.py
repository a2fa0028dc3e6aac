"""No reuse: what everything else is measured against."""

from __future__ import annotations

from ...rl import Lesson
from ..strategy import Strategy
from .trial import Trial


def run(trial: Trial) -> Lesson:
    """Learn with new weights in the target alone."""
    return trial.lesson(*trial.fresh())


SCRATCH = Strategy(name="scratch", run=run, summary="a new policy, learned in the target alone")
