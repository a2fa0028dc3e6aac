"""The old policy behind a linear map of the observations, under which the target moves as the source did.

The map is found from a few steps of random actions, without rewards. A short look at the policy with and
without it says which to begin with. All these steps are charged.
"""

from __future__ import annotations

from ...rl import Lesson
from ...rl.bridge import bridge, fitted, walk
from ..strategy import Strategy
from .anchor import near
from .arena import Arena
from .trial import Trial

ROWS = 4000  # random steps in a source, which cost nothing in the target
FEW = 200  # in the target
LOOK = 150  # steps of each policy, one episode


def run(trial: Trial) -> Lesson:
    """Map the observations if that helps, then learn near the old policy."""
    policy, value = trial.source()
    there = walk(trial.problem.sources[0], ROWS, trial.number("source rows"))
    here = walk(trial.target, FEW, trial.number("target rows"))
    found = bridge(there, here)
    mapped = fitted(policy, found)
    spent, plain = FEW + 2 * LOOK, trial.glance(policy, LOOK)
    if trial.glance(mapped, LOOK) > plain:
        policy, value = mapped, fitted(value, found)
    return near(trial, policy, value, spent=spent)


def needs(problem: Arena) -> str:
    """Ask for sources of the same observations."""
    return problem.alike() or ("" if problem.sources else "there is no source to know the old dynamics by")


ALIGN = Strategy(
    name="align",
    run=run,
    summary="the old policy, its observations mapped so that the target moves as the source did",
    needs=needs,
    reused="policy and value, behind a linear map",
    frozen="the policy at first",
)
