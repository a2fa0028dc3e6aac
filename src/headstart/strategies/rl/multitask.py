"""Target and sources side by side: one policy that acts in all of them.

Half of the episodes are the target's. All steps are charged, those in the sources too. ``multitask+pcgrad``
and the like weigh the gradient of each world by a weighing of the room ``multitask``.

References:
    Tobin et al. (IROS 2017), on learning in many variants of a world, https://arxiv.org/abs/1703.06907
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...rl import Lesson
from ...seams import GramianWeighing
from ..recipes.jointly import GRAMIANS
from ..strategy import Strategy
from .arena import Arena
from .trial import Trial


def run(trial: Trial, weighing: GramianWeighing | None = None) -> Lesson:
    """Go on learning in the target and the sources, which take turns."""
    worlds = [world for source in trial.problem.sources for world in (trial.target, source)]
    policy, value = trial.source()
    held = trial.brief(policy)
    return trial.lesson(policy, value, worlds=worlds, weighing=weighing, spent=held.spent, held=held)


def needs(problem: Arena) -> str:
    """Ask for sources that move as the target does."""
    if reason := problem.valued():
        return reason
    if problem.sources[0].env != problem.target.env:
        return "the sources are of another environment"
    return ""


MULTITASK = Strategy(
    name="multitask",
    run=run,
    summary="policy and value go on learning in target and sources",
    needs=needs,
    reused="policy and value, and the sources themselves",
    paper="[Tobin et al. 2017](https://arxiv.org/abs/1703.06907)",
)
WEIGHED = [
    replace(
        MULTITASK,
        name=f"multitask+{name}",
        run=partial(run, weighing=weighing),
        summary=f"{MULTITASK.summary}, whose gradients are weighed by {name}",
    )
    for name, weighing in GRAMIANS.items()
]
