"""A few held-out episodes say whether the old policy is of use; if not, its value alone is reused.

Where the old policy is worth more than a new one, by two hundredths of the world's scale, it is the start, as
in ``anchor``: the more it is worth, the slower and the nearer to it is learned. Where it is not, it is looked
at again behind the map of ``align``. Where that is of no use either, only the value is the start, as in
``critic``. The steps of all these episodes are charged: nothing is learned for so long, and the new policy is
what is handed out until then.
"""

from __future__ import annotations

from ...rl import Lesson
from ...rl.held import affordable
from ..strategy import Strategy
from .align import FEW, behind_a_map
from .anchor import near
from .arena import Arena
from .trial import Trial

BETTER = 0.02  # of the scale from hardly any skill to solved
LOOKS = 3  # held-out episodes of each policy at most
SHARE = 0.1  # of the steps that may go into each look, though one episode is always played


def run(trial: Trial) -> Lesson:
    """Look at the old policy and at a new one, and begin with what is of use."""
    (policy, value), fresh = trial.source(), trial.fresh()[0]
    most = SHARE * trial.problem.steps[-1]
    old, new = trial.look(policy), trial.look(fresh)
    count = min(LOOKS, affordable(old.steps + new.steps, most))
    old, new = old.first(count), new.first(count)
    enough = trial.worth(new) + BETTER
    if (worth := trial.worth(old)) > enough:
        return near(trial, policy, value, worth=worth, spent=new.spent, before=fresh, held=old)
    mapped, spent = behind_a_map(trial), old.spent + new.spent + FEW
    told = trial.look(mapped[0])
    told = told.first(min(LOOKS, affordable(told.steps, most)))
    if (worth := trial.worth(told)) > enough:
        return near(trial, *mapped, worth=worth, spent=spent, before=fresh, held=told)
    return trial.lesson(fresh, value, spent=spent + told.spent)


GATE = Strategy(
    name="gate",
    run=run,
    summary="near the old policy, as it is or mapped, if it is of use in held-out episodes; else its value",
    needs=Arena.valued,
    reused="policy and value, or the value",
    frozen="the policy at first",
)
