"""A new policy that learns from the old one at first, and less and less.

References:
    Schmitt et al. (2018), Kickstarting deep reinforcement learning, equation 4,
    https://arxiv.org/abs/1803.03835, whose weight is adapted over a population where this one falls evenly
"""

from __future__ import annotations

from ...rl import Lesson
from ..strategy import Strategy
from .arena import Arena
from .trial import Trial

PULL, FADES = 1.0, 0.5


def run(trial: Trial) -> Lesson:
    """Learn from rewards and from the old policy."""
    policy, value = trial.fresh()
    return trial.lesson(policy, value, teacher=trial.source()[0], pull=PULL, fades=FADES)


KICKSTART = Strategy(
    name="kickstart",
    run=run,
    summary="a new policy, drawn to the old one over half of the steps",
    needs=Arena.alike,
    reused="the policy, as a teacher",
    paper="[Schmitt et al. 2018](https://arxiv.org/abs/1803.03835)",
)
