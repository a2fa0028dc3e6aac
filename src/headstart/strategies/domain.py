"""Strategies for a target without labels whose classes are a source's.

References:
    DANN: Ganin et al. (JMLR 2016), https://arxiv.org/abs/1505.07818
    MMD: Long et al. (ICML 2015), https://arxiv.org/abs/1502.02791
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..domains import DANN, MMD
from ..engine import predict, seeded
from ..models import Net
from ..seams import Objective
from ..tasks import Inputs, Labelled, Task, shifted
from ..tasks.nouns import join, rows, take
from .trial import Trained, Trial, width_of


def source_only(trial: Trial) -> Trained:
    """Train on the source's labels and use the net on the target as it is."""
    task, net = _start(trial)
    curves = trial.train(net, [task], steps=_steps(trial), lr=trial.settings["lr"], phase="source")
    return Trained(net, curves)


def dann(trial: Trial) -> Trained:
    """Learn features that a critic cannot tell apart between source and target (DANN)."""
    return _align(
        trial,
        lambda task, net: DANN(task, features=width_of(net.backbone, task), weight=trial.settings["weight"]),
    )


def mmd(trial: Trial) -> Trained:
    """Learn features whose mean embeddings agree between source and target (MMD)."""
    return _align(trial, lambda task, net: MMD(task, weight=trial.settings["weight"]))


def _align(trial: Trial, objective: Callable[[Task, Net], Objective]) -> Trained:
    task, net = _start(trial)
    with seeded(trial.seed):
        lower = objective(task, net)
    stream = shifted(task, 64, generator=trial.generator("shift"))
    curves = trial.train(net, [task], lower, steps=_steps(trial), lr=1e-3, stream=stream, phase="align")
    return Trained(net, curves)


def _steps(trial: Trial) -> int:
    return trial.problem.budget.pretrain


def _start(trial: Trial) -> tuple[Task, Net]:
    """Join the sources that share the target's classes, beside the target's unlabelled rows."""
    task = joined(trial.target, trial.problem.shared())
    return task, trial.pretrained() if trial.problem.comes_pretrained() else trial.fresh()


def joined(target: Task, sources: list[Task]) -> Task:
    """Make one task of the sources' labelled rows under the target's name."""
    labelled = [s.train for s in sources if isinstance(s.train, Labelled)]
    parts = [rows.known() for rows in labelled]
    train = Labelled(join(*(p.x for p in parts)), torch.cat([p.y for p in parts]))
    return Task(target.name, target.kind, train, unlabelled=target.unlabelled)


def information(net: Net, task: Task, *, most: int = 2000) -> float:
    r"""Judge an adapted net without target labels: is it sure of each row, and not of one class only?

    .. math:: H(\bar p) - \overline{H(p)}

    the mutual information between row and prediction over the target's unlabelled rows, in nats.

    References:
        Krause, Perona & Gomes (NeurIPS 2010), equation 1
    """
    assert isinstance(task.unlabelled, Inputs)
    x = task.unlabelled.x
    logits = predict(net, task.name, take(x, torch.arange(min(most, rows(x)))), progress=False)
    p = logits.softmax(1) if logits.shape[1] > 1 else torch.cat([logits.sigmoid(), 1 - logits.sigmoid()], 1)

    def entropy(q: Tensor) -> Tensor:
        return -(q * q.clamp(min=1e-12).log()).sum(-1)

    return float(entropy(p.mean(0)) - entropy(p).mean())
