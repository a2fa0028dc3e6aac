"""What the sources' policies will meet is known; the target's rewards say what that is worth there.

A few random steps in the target tell how much each feature of the rewards counts. The actions that are then
best by the successor features of all sources' policies are distilled into one policy, which is looked at in
held-out episodes; it is the start if it is of use. The steps of both are charged.

References:
    Barreto et al. (NeurIPS 2017), Successor features for transfer, https://arxiv.org/abs/1606.05312, who act
    by the successor features themselves and learn those of the target as well; here they are only a start
"""

from __future__ import annotations

import numpy as np
import torch

from ...rl import Lesson
from ...rl.successor import Successor, basis, improved, lived, successor, weights
from ...tasks import Labelled
from ..strategy import Strategy
from .anchor import near
from .arena import Arena
from .distill import learn
from .trial import Trial

ROWS = 3000  # steps in each source, which cost nothing in the target
FEW = 100  # in the target


def run(trial: Trial) -> Lesson:
    """Do what is best for the new rewards by what the old policies will meet."""
    here = lived(None, trial.target, FEW, trial.number("target rows"))
    each, rows = met(trial)
    best = improved(each, weights(here), rows).argmax(1)
    student, value = trial.fresh()
    learn(trial, student, Labelled(torch.from_numpy(rows).float(), torch.from_numpy(best)))
    fresh = trial.fresh()[0]
    told = trial.look(student)
    return near(trial, student, value, worth=trial.worth(told), spent=FEW, before=fresh, held=told)


def met(trial: Trial) -> tuple[list[Successor], np.ndarray]:
    """Fit the successor features of each source's policy; give them and the observations that they saw."""
    sources, world = trial.problem.sources, trial.target
    walks = []
    for source in sources:
        policy = trial.starts.learned_in([source], trial.problem, trial.seed).policies[-1]
        walks.append(lived(policy, source, ROWS, trial.number(f"steps in {source.name}")))
    rows = np.concatenate([one.before for one in walks])
    seen_by = basis(rows, trial.number("basis"))
    return [successor(one, seen_by, world.actions_count, world.discount) for one in walks], rows


def needs(problem: Arena) -> str:
    """Ask for sources that differ in their rewards alone, and say what these are made of."""
    if reason := problem.valued():
        return reason
    target = problem.target
    if any(one.features is None for one in (target, *problem.sources)):
        return "the worlds do not say what their rewards are made of: pass `features`"
    if target.physics is not None:
        weighed = target.physics.rewarded
        for one in problem.sources:
            apart = [key for key, value in target.whole.items() if one.whole[key] != value]
            if moving := [key for key in apart if key not in weighed]:
                return f"{one.name} differs in {', '.join(moving)}, not in its rewards alone"
    return ""


SUCCESSOR = Strategy(
    name="successor",
    run=run,
    summary="what the old policies will meet, valued by the new rewards",
    needs=needs,
    reused="the policies' successor features",
    frozen="the policy at first",
    paper="[Barreto et al. 2017](https://arxiv.org/abs/1606.05312)",
)
