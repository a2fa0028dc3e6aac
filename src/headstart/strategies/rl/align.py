"""The old policy behind a linear map of the observations, under which the target moves as the source did.

The map is found from a few steps of random actions, without rewards. A short look at the policy with and
without it says which to begin with. All these steps are charged.
"""

from __future__ import annotations

from ...models import Net
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
    old, mapped = trial.source(), behind_a_map(trial)
    better = trial.glance(mapped[0], LOOK) > trial.glance(old[0], LOOK)
    return near(trial, *(mapped if better else old), spent=FEW + 2 * LOOK, before=old[0])


def behind_a_map(trial: Trial) -> tuple[Net, Net]:
    """Give the old policy and value, their observations mapped so that the target moves as the source did."""
    there = walk(trial.problem.sources[0], ROWS, trial.number("source rows"))
    found = bridge(there, walk(trial.target, FEW, trial.number("target rows")))
    policy, value = trial.source()
    return fitted(policy, found), fitted(value, found)


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
