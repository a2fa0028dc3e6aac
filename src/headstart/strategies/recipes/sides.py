"""What a net tells of the source's rows and of the target's, and which of its weights are left.

Shapes: ``B`` rows, ``C`` classes.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...engine import Held, losses_of, predict, settle
from ...engine.held import FOLDS
from ...errors import wrong
from ...maths import random
from ...measure import density_ratio
from ...measure.rows import some
from ...models import Net, freeze
from ...models.backbones.plain import Raw
from ...tasks import Labelled, Task, X
from ...tasks.arrays import lit
from ...tasks.nouns import take
from .. import needs
from ..holding import ENOUGH, hold_out
from ..reading import MOST, beyond_of
from ..situation import Situation
from ..trial import Trial
from ..validating import LABELS, LOOKING, VALIDATORS, WEIGHTED


def by_side(trial: Trial, net: Net, task: Task) -> dict[str, Any]:
    """Give batch normalisation the statistics of the target's rows alone.

    While a net trains, each side passes it alone, so it learns features that are normalised by the statistics
    of their own side; those of both sides together fit neither.

    Returns:
        what a copy with the statistics of the source tells of its rows (``left_behind``); nothing where no
        layer takes any.
    """
    if not any(isinstance(m, _BatchNorm) and m.training for m in net.train().modules()):
        return {}
    before = copy.deepcopy(net)
    for one, side in ((before, "source"), (net, "target")):
        stream = trial.sides(task, "statistics")
        settle(one, stream, lambda net, batch, _, side=side: {"": net.features(getattr(batch, side).x).sum()})
    return left_behind(before, net, task.name)


def left_behind(before: Net, net: Net, name: str) -> dict[str, Any]:
    """Say what a net that was left behind, and reads the source's rows, tells of them."""
    return {
        "before": before,
        "of_source": partial(said_of_source, before, name),
        "beyond": partial(beyond_of, before, net, name),
    }


def said_of_source(net: Net, name: str, held: Labelled) -> tuple[Tensor, Tensor]:
    """Give what a net that was left behind says of held-out source rows, and their answers."""
    return predict(net, name, held.x, progress=False).cpu(), held.y.cpu()


def said_of_bare(net: Net, task: Task, *, most: int = 2000) -> Tensor:
    """Give a net's class probabilities of the target's unlabelled rows, of at most so many."""
    logits = predict(net, task.name, some_bare(task, most), progress=False)
    p = task.kind.probabilities(logits)
    assert p is not None  # the task has classes: a source has the same
    return p


def some_bare(task: Task, most: int) -> X:
    """Take the first of a task's bare rows, at most so many."""
    bare = task.unlabelled
    assert bare is not None
    at = torch.arange(min(most, len(bare)))
    return take(bare.x, at) if bare.held else bare.take(at).x


def watched(trial: Trial, task: Task, steps: int) -> tuple[Task, Held | None]:
    """Hold a tenth of the source's labelled rows out, by which the validator says which weights are left.

    Nothing is held out where the budget has no ``looks``, or where a class has fewer than 20 rows.

    Args:
        trial: of a target with bare rows.
        task: the source's labelled rows under the target's name, beside the target's bare ones.
        steps: of the phase that is watched.

    Returns:
        the task with the rows that are left, and what looks at a net along the phase.
    """
    looks, target = trial.problem.budget.looks, trial.target
    if not looks:
        return task, None
    every = max(1, steps // looks)
    if trial.problem.validator == LABELS:
        assert target.valid is not None  # the situation has asked for it
        return task, Held(losses_of(replace(target, train=target.valid)), every)
    assert task.train.held  # it was joined of rows in memory
    y = task.train.known().y
    least = int(task.kind.numbers(y).bincount().min()) if task.kind.exclusive else len(y) // FOLDS
    if least < ENOUGH:
        return task, None
    kept, held = hold_out(task, trial.seed)
    if not task.kind.exclusive:
        return kept, Held(losses_of(held), every)
    assert held.train.held
    rows = held.train
    if trial.problem.validator == WEIGHTED:
        rows = drawn_alike(trial.problem, rows, trial.seed)
    return kept, Held(partial(distrust, trial, kept, rows), every)


def distrust(trial: Trial, task: Task, held: Labelled, net: Net) -> Tensor:
    """Say how little the validator trusts a net in the midst of training, by folds of both sides' rows."""
    now, validator = copy.deepcopy(net), trial.problem.validator
    before = by_side(trial, now, task).get("before", now)
    bare, far = said_of_bare(now, task), 0.0
    p = task.kind.probabilities(predict(before, task.name, held.x, progress=False))
    assert p is not None  # `watched` asked for classes
    if validator in LOOKING:
        assert task.train.held
        far = beyond_of(before, now, task.name, task.train.known(), held, some_bare(task, MOST))
    sides = p.cpu(), task.kind.numbers(held.y.cpu()), bare.cpu()
    folds = [[side[n::FOLDS] for side in sides] for n in range(FOLDS)]
    values = [VALIDATORS[validator](bare, p, y, far, None) for p, y, bare in folds]
    return -torch.tensor(values, dtype=torch.float64)


def drawn_alike(situation: Situation, held: Labelled, seed: int) -> Labelled:
    """Draw as many of the held-out source rows, each as often as the target has rows like it.

    Their plain loss is then that of importance-weighted validation (``hs.measure.weighted_risk``), whatever
    a way makes of the rows.
    """
    if reason := needs.shallow(situation):
        hint = "take another, such as `sound`"
        raise wrong(f'`validator="{WEIGHTED}"`', expected="rows that can be weighed", found=reason, hint=hint)
    trial = Trial(situation, {}, seed)
    held = held.take(some(held.y, MOST, "rows to weigh"))
    _, (here, there) = as_features(trial, held.x, some_bare(situation.target, MOST))
    draws = random.generator("rows like the target's", seed)
    return held.take(torch.multinomial(density_ratio(here, there), len(held), True, generator=draws))


def as_features(trial: Trial, *several: X) -> tuple[nn.Module, list[Tensor]]:
    """Give what makes features of rows, and these: the pretrained backbone, or none."""
    if trial.problem.comes_pretrained():
        net = trial.pretrained()
        freeze(net.backbone)
        made = [trial.starts.features(net, x, trial.target.name).float().cpu() for x in several]
        return net.backbone, made
    tables = [x for x in several if isinstance(x, Tensor)]  # all: `needs` asked for it
    backbone = Raw(tuple(tables[0].shape[1:])).eval()
    return backbone, [backbone(lit(x).cpu()) for x in tables]
