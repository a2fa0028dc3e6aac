"""A few held-out episodes say whether the old policy is of use; if not, its value alone is reused.

Where the old policy is worth more than a new one, by two hundredths of the world's scale, it is the start, as
in ``anchor``: the more it is worth, the slower and the nearer to it is learned. Where it is not, it is looked
at again behind the map of ``align``. Where that is of no use either, only the value is the start, as in
``critic``. The steps of all these episodes are charged: nothing is learned for so long, and the new policy is
what is handed out until then.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ...rl import Lesson
from ..strategy import Strategy
from .align import FEW, behind_a_map
from .anchor import near
from .arena import Arena
from .trial import Trial

BETTER = 0.02  # of the scale from hardly any skill to solved
SHARE = 0.1  # of the steps that may go into each look, though one episode is always played


def run(trial: Trial) -> Lesson:
    """Look at the old policy and at a new one, and begin with what is of use."""
    (policy, value), fresh = trial.source(), trial.fresh()[0]
    (old, some), (new, others) = trial.look(policy), trial.look(fresh)
    count, spent = affordable(trial, some + others)
    enough = float(new[:count].mean()) + BETTER
    if (worth := float(old[:count].mean())) > enough:
        return near(trial, policy, value, worth=worth, spent=spent, before=fresh)
    mapped = behind_a_map(trial)
    told, some = trial.look(mapped[0])
    count, more = affordable(trial, some)
    spent += FEW + more
    if (worth := float(told[:count].mean())) > enough:
        return near(trial, *mapped, worth=worth, spent=spent, before=fresh)
    return trial.lesson(fresh, value, spent=spent)


def affordable(trial: Trial, steps: NDArray[Any]) -> tuple[int, int]:
    """Tell how many episodes of so many steps a look may play, and how many steps these are."""
    costs = steps.cumsum()
    count = max(1, int((costs <= SHARE * trial.problem.steps[-1]).sum()))
    return count, int(costs[count - 1])


GATE = Strategy(
    name="gate",
    run=run,
    summary="near the old policy, as it is or mapped, if it is of use in held-out episodes; else its value",
    needs=Arena.valued,
    reused="policy and value, or the value",
    frozen="the policy at first",
)
