"""Training of several tasks side by side, from new encoders or from pretrained ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from ...engine import FeatureStore, total
from ...models import Net, fix_norms
from ...models.net import task_dependent
from ...seams import Combine
from ...tasks import Task
from .. import needs
from ..starts import Starts
from ..trial import Curves, Trial, frozen
from .align import joined
from .finetune import HEAD_LR
from .left_out import regressed
from .linear import linear_head
from .places import ridge

PRETRAINED = 0.1  # of the step size of new weights: what is pretrained is to be moved, not replaced
SURE = {"C": 10.0}  # of the regressions that heads begin as: the default of `finetune@layer`
MOST = 2**28  # numbers in a task's features, over the planes between its classes: 1 GiB, or some ten seconds


def side_by_side(
    trial: Trial,
    net: Net,
    tasks: Sequence[Task],
    *,
    steps: int,
    combine: Combine = total,
    phase: str,
    begun: bool = False,
) -> Curves:
    """Train tasks on one net, at the trial's ``lr``; return the losses per step by phase.

    On pretrained encoders each head begins as a regression on the features that these give as they came
    (``begin``), as that of ``finetune@layer`` does. Encoders and heads then train together, all steps, with a
    tenth of ``lr``, but for normalisation by running statistics, which stays.

    A head that cannot begin so learns by itself for a quarter of the steps while the rest stays as it is, and
    goes on with ``lr``: of boxes, maps or any of several labels, of rows in a dataset, of a single class, of
    numbers some of which are missing, and where the features of all rows would take over a gigabyte or the
    regression more than some ten seconds. Sources have heads as targets do, and all tasks lose that quarter.

    Args:
        trial: with a setting ``lr``.
        net: trained in place.
        tasks: whose rows make the batches.
        steps: of all phases.
        combine: how the tasks' losses become one gradient; heads alone share none.
        phase: names the curves and the checkpoints.
        begun: whether the heads have been trained before.

    Differs from the paper:
        heads are fitted by a regression, not trained by steps.

    References:
        Kumar et al. (ICLR 2022), section 3.4, https://arxiv.org/abs/2202.10054
    """
    lr = trial.settings["lr"]
    curves: Curves = {}
    groups = None
    if trial.problem.comes_pretrained():
        fix_norms(net.backbone)
        fitted = fittable(net, trial.held_out(tasks, steps)[0])
        new = [t for t in tasks if net.heads[t.name] not in fitted]
        if not begun:
            with frozen(net.backbone):
                begin(trial, net, fitted)
                if new:
                    heads = steps // 4
                    curves |= trial.train(net, new, steps=heads, lr=HEAD_LR, phase=f"{phase}, heads")
                    steps -= heads
        known = list(nn.ModuleList([*fitted, net.backbone]).parameters())
        groups = [{"name": "pretrained", "params": known, "lr": PRETRAINED * lr}]
        if new:
            fresh = nn.ModuleList(net.heads[t.name] for t in new)
            groups.append({"name": "new heads", "params": list(fresh.parameters()), "lr": lr})
    return curves | trial.train(net, tasks, steps=steps, lr=lr, groups=groups, combine=combine, phase=phase)


def fittable(net: Net, tasks: Sequence[Task]) -> dict[nn.Module, list[Task]]:
    """List the heads that a regression can be written into, each with the tasks that it is fitted on."""
    found: dict[nn.Module, list[Task]] = {}
    for task in tasks:
        if regresses(task, next(net.heads[task.name].parameters()).shape[-1]):
            found.setdefault(net.heads[task.name], []).append(task)
    return found


def regresses(task: Task, width: int) -> bool:
    """Tell whether a task's answers can be fitted by a regression on so many features, in seconds."""
    kind, rows = task.kind, task.train
    if not rows.held or kind.axes > 1 or not rows.present().any():
        return False
    planes = max(1, len(kind.classes) - 1) if kind.per_row else 1  # of answers at places some are drawn
    if rows.y.numel() * width * planes > MOST:
        return False
    if not kind.classes:
        return needs.complete(task)
    if not kind.single.exclusive:
        return False
    numbers = kind.single.numbers(rows.y.flatten())
    return len(numbers[numbers >= 0].unique()) > 1


def begin(trial: Trial, net: Net, fitted: Mapping[nn.Module, Sequence[Task]]) -> None:
    """Write into heads what a regression finds on the features of a frozen backbone.

    It is logistic, of words with one row for each word, and a ridge regression of numbers. Classes are
    weighed as in the tasks' losses. A head of several tasks is fitted on the rows of all.

    Args:
        trial: whose problem.
        net: with a frozen backbone.
        fitted: the tasks of each head.
    """
    starts = Starts(FeatureStore()) if task_dependent(net.backbone) else trial.starts  # of no use to others
    for head, tasks in fitted.items():
        own = [replace(t, standard=None) for t in tasks]  # each in its own unit, as in the loss
        task = own[0] if len(own) == 1 else joined(own[0], own)
        problem = trial.problem.with_rows(targets=[task])
        part = replace(trial, problem=problem, settings=SURE, starts=starts)
        z = part.features(net)
        begun = regressed(part, z)[0] if task.kind.classes else linear_head(part, z, ridge(part))
        head.load_state_dict(begun.state_dict())
