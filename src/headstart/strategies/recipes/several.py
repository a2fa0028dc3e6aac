"""Strategies for a target without labels, or with a handful, beside several sources or one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from ...domains import CMD, DANN, MMD, MultiDANN
from ...engine import seeded
from ...seams import Objective
from ...tasks import Labelled, Task
from ...tasks.nouns import join
from .. import needs
from ..situation import width_of
from ..trial import Trained, Trial
from .align import BARE, aligned, aligning, begun, contend, joined, match, source_numbers


def with_sources(trial: Trial) -> Trained:
    """Lower the loss of a critic that names each source and the target."""
    task, net, watch = begun(trial, trial.problem.budget.pretrain)
    assert task.train.held  # it was joined of rows in memory
    group = source_numbers(trial.problem.shared()).to(task.train.y.device)
    task = replace(task, train=replace(task.train, group=group))
    with seeded(trial.seed):
        width, weight = width_of(net.backbone, task), trial.settings["weight"]
        lower = MultiDANN(task, features=width, sources=int(group.max()) + 1, weight=weight)
    return aligned(trial, net, task, lower, watch=watch)


MULTI_DANN = aligning(
    "multi-dann",
    with_sources,
    "features by which a critic can tell no two of several sources and the target apart",
    (0.3, 0.1, 1.0),
    "[Gulrajani & Lopez-Paz 2021](https://arxiv.org/abs/2007.01434)",
    needs.several_shift,
)


QUARTER = 1 / 3  # of the source's rows, that the target's labelled ones count like: a quarter of all


def labelled_too(trial: Trial, run: Callable[..., Trained], method: Callable[..., Objective]) -> Trained:
    """Align as without labels, with the target's few labelled rows beside the source's in the label loss.

    They are repeated until they are a quarter of all.
    """
    sources = joined(trial.target, trial.problem.shared())
    assert sources.train.held  # it was joined of rows in memory
    own = trial.labelled()
    times = max(1, round(QUARTER * len(sources.train) / len(own)))
    x = join(sources.train.x, *[own.x] * times)
    y = torch.cat([sources.train.y, *[own.y.to(sources.train.y)] * times])
    both = Task("source and target", trial.target.kind, Labelled(x, y))
    return run(replace(trial, problem=trial.problem.with_rows(sources=[both])), method=method)


LABELLED_TOO = tuple(
    replace(
        aligning(
            f"{name}+labels",
            partial(labelled_too, run=run, method=method),
            f"as {name}, with the target's few labels in the loss",
            (0.3, 0.1, 1.0),
            paper,
            needs.labelled_shift,
        ),
        learns="both",
        reused=BARE,
    )
    for name, run, method, paper in (
        ("dann", contend, DANN, "[Ganin et al. 2016](https://arxiv.org/abs/1505.07818)"),
        ("mmd", match, MMD, "[Long et al. 2015](https://arxiv.org/abs/1502.02791)"),
        ("cmd", match, CMD, "[Zellinger et al. 2017](https://arxiv.org/abs/1702.08811)"),
    )
)
