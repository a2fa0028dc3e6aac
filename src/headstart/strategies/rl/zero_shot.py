"""The policy as it was learned elsewhere: nothing is learned in the target."""

from __future__ import annotations

from ...rl import Lesson
from ..strategy import Strategy
from .arena import Arena
from .trial import Trial


def run(trial: Trial) -> Lesson:
    """Act as before."""
    return trial.lesson(*trial.source(), rate=0.0)


ZERO_SHOT = Strategy(
    name="zero-shot",
    run=run,
    summary="the policy as it is, nothing is learned",
    needs=Arena.alike,
    reused="the policy",
    frozen="all",
)
