"""A few held-out episodes say whether the old policy is of use; if not, its value alone is reused.

Where the old policy is worth more than a new one, by two hundredths of the world's scale, it is the start, as
in ``anchor``: the more it is worth, the slower and the nearer to it is learned. Else only the value is the
start, as in ``critic``. The steps of these episodes are charged: nothing is learned for so long.
"""

from __future__ import annotations

from ...rl import Lesson
from ..strategy import Strategy
from .anchor import near
from .arena import Arena
from .trial import Trial

BETTER = 0.02  # of the scale from hardly any skill to solved


def run(trial: Trial) -> Lesson:
    """Look at the old policy and at a new one, and begin with one of them."""
    (policy, value), fresh = trial.source(), trial.fresh()[0]
    old, some = trial.look(policy)
    new, more = trial.look(fresh)
    if old > new + BETTER:
        return near(trial, policy, value, worth=old, spent=some + more)
    return trial.lesson(fresh, value, spent=some + more)


GATE = Strategy(
    name="gate",
    run=run,
    summary="near the old policy if it is of use in held-out episodes, else with its value alone",
    needs=Arena.valued,
    reused="policy and value, or the value",
    frozen="the policy at first",
)
