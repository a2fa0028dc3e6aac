"""Tasks in groups: look at who helps whom, then learn together what helps one another.

References:
    Fifty et al. (NeurIPS 2021), https://arxiv.org/abs/2109.04617
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
from torch import Tensor

from ...engine.devices import to
from ...models import Net
from ...models.fresh import copied
from ...multitask import affinity, groups
from ...tasks import Task, batches
from ...transfer import Supervised
from .. import needs
from ..starts import Curves
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .beside import PRETRAINED, side_by_side
from .jointly import LOOKS, RATES, apart, matrix, shared, wanted

MOMENTS = 4  # of a joint run, after each of which affinities are looked at
SHARE = 4  # a joint run takes one step in so many


def run(trial: Trial) -> Trained:
    """Learn all for a quarter of the steps, look ahead along the way, then learn each group anew."""
    targets = wanted(trial)
    tasks = [*targets, *trial.problem.sources]
    found, curves = look(trial, tasks)
    divided = [[tasks[k] for k in group] for group in groups(found)]
    own: dict[str, Net] = {}
    for number, group in enumerate(divided, 1):
        learned = [t for t in group if t in targets]
        if not learned:
            continue
        net = shared("hard", trial, group)
        curves |= side_by_side(trial, net, group, steps=trial.problem.steps, phase=f"group {number}")
        own |= {t.name: Net(copied(net.backbone), {t.name: net.heads[t.name]}) for t in learned}
    told = {
        "affinity": {"tasks": [t.name for t in tasks], "values": matrix(found)},
        "groups": [[t.name for t in group] for group in divided],
    }
    return Trained(apart(trial, {t.name: own[t.name] for t in targets}), curves, told)


def look(trial: Trial, tasks: Sequence[Task]) -> tuple[Tensor, Curves]:
    """Train all on one encoder; give the mean of the affinities along the way, and the losses."""
    net, lr = shared("hard", trial, tasks), trial.settings["lr"]
    lr *= PRETRAINED if trial.problem.comes_pretrained() else 1
    stream = batches(tasks, trial.problem.budget.batch, generator=trial.generator("affinity"))
    looks = list(islice(stream, LOOKS))
    names, found = [t.name for t in tasks], []
    curves: Curves = {}
    for moment in range(1, MOMENTS + 1):
        steps = max(1, trial.problem.steps // SHARE // MOMENTS)
        phase, begun = f"all, part {moment}", moment > 1
        curves |= side_by_side(trial, net, tasks, steps=steps, phase=phase, begun=begun)
        seen = [to(batch, trial.problem.on) for batch in looks]
        found.append(affinity(net, Supervised(*tasks), seen, names, lr=lr))
    return torch.stack(found).nanmean(0), curves


MULTITASK_GROUPS = Strategy(
    name="multitask+groups",
    run=run,
    summary="a look at which tasks help one another, then an encoder for each group",
    options=rates(*RATES),
    needs=needs.sources,
    reused="the rows of tasks that help",
    paper="[Fifty et al. 2021](https://arxiv.org/abs/2109.04617)",
)
