"""Policy and value as a start: what most people do."""

from __future__ import annotations

from ...rl import Lesson
from ..strategy import Strategy
from .arena import Arena
from .trial import Trial


def run(trial: Trial) -> Lesson:
    """Go on learning, in the target."""
    policy, value = trial.source()
    held = trial.brief(policy)
    return trial.lesson(policy, value, spent=held.spent, held=held)


CONTINUE = Strategy(
    name="continue",
    run=run,
    summary="policy and value go on learning as they are",
    needs=Arena.alike,
    reused="policy and value, as a start",
)
