"""The old policy for other observations: a linear map carries those of the target to those of the source.

The map is found from steps of random actions, without rewards and without pairs; these steps are charged.
"""

from __future__ import annotations

from ...rl import Lesson
from ...rl.bridge import bridge, explained, fitted, walk
from ..strategy import Strategy
from .anchor import near
from .arena import Arena
from .trial import Trial

ROWS = 4000  # of random steps, in the source and in the target
LINEAR = 0.6  # share of the source's changes that are linear in its observations: below it no map is sought


def run(trial: Trial) -> Lesson:
    """Carry the target's observations to the source's, then learn near the old policy."""
    policy, value = trial.source()
    there = walk(trial.problem.sources[0], ROWS, trial.number("source rows"))
    rows = min(ROWS, max(200, trial.problem.steps[-1] // 5))
    found = bridge(there, walk(trial.target, rows, trial.number("target rows")))
    fresh = trial.fresh()[0]
    return near(trial, fitted(policy, found), fitted(value, found), spent=rows, before=fresh)


def needs(problem: Arena) -> str:
    """Ask for a source of other observations that moves nearly linearly."""
    if problem.learned() or not problem.sources:
        return problem.learned() or "there is no source to know the old dynamics by"
    source = problem.sources[0]
    if source.observations == problem.target.observations:
        return "the observations have the same size: `align` applies"
    if (share := explained(walk(source, ROWS, 0))) < LINEAR:
        return f"{source.name} does not move linearly: {100 * share:.0f} % of its changes are explained"
    return ""


BRIDGE = Strategy(
    name="bridge",
    run=run,
    summary="the old policy for other observations, behind a linear map found from random steps",
    needs=needs,
    reused="policy and value, behind a linear map",
    frozen="the policy at first",
)
