"""Strategies for a target without labels whose classes are a source's.

References:
    DANN: Ganin et al. (JMLR 2016), https://arxiv.org/abs/1505.07818
    MMD: Long et al. (ICML 2015), https://arxiv.org/abs/1502.02791
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...domains import DANN, MMD
from ...engine import predict, seeded
from ...models import Net
from ...seams import Objective
from ...tasks import Labelled, Task, batches, shifted
from ...tasks.nouns import join, rows, take
from .. import needs
from ..situation import width_of
from ..strategy import Strategy, rates
from ..trial import Trained, Trial

LABELS = "the source's labels"


def source_only(trial: Trial) -> Trained:
    """Train on the source's labels and use the net on the target as it is."""
    task, net = _start(trial)
    budget, lr = trial.problem.budget, trial.settings["lr"]
    stream = batches([task], budget.batch, generator=trial.generator("source"))
    curves = trial.train(net, [task], steps=budget.pretrain, lr=lr, stream=stream, phase="source")
    return Trained(net, curves)


SOURCE_ONLY = Strategy(
    name="source-only",
    run=source_only,
    summary="train on the source, use as it is",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.source,
    learns="source",
    reused=LABELS,
    paper="[Ben-David et al. 2010](https://doi.org/10.1007/s10994-009-5152-4)",
)


def dann(trial: Trial) -> Trained:
    """Learn features that a critic cannot tell apart between source and target (DANN)."""
    weight = trial.settings["weight"]
    return align(trial, lambda task, net: DANN(task, features=width_of(net.backbone, task), weight=weight))


DANN_STRATEGY = Strategy(
    name="dann",
    run=dann,
    summary="features a critic cannot tell apart",
    options=rates(0.3, 0.1, 1.0, name="weight"),
    needs=needs.shift,
    learns="unlabelled",
    reused=LABELS + ", unlabelled target rows",
    paper="[Ganin et al. 2016](https://arxiv.org/abs/1505.07818)",
)


def mmd(trial: Trial) -> Trained:
    """Learn features whose mean embeddings agree between source and target (MMD)."""
    return align(trial, lambda task, net: MMD(task, weight=trial.settings["weight"]))


MMD_STRATEGY = Strategy(
    name="mmd",
    run=mmd,
    summary="features whose distributions agree",
    options=rates(0.3, 0.1, 1.0, name="weight"),
    needs=needs.shift,
    learns="unlabelled",
    reused=LABELS + ", unlabelled target rows",
    paper="[Long et al. 2015](https://arxiv.org/abs/1502.02791)",
)


def align(trial: Trial, objective: Callable[[Task, Net], Objective]) -> Trained:
    """Lower an objective on the source's labelled and the target's unlabelled rows.

    Args:
        trial: of a target with unlabelled rows and a source with its classes.
        objective: makes it for the joint task and the net.
    """
    task, net = _start(trial)
    with seeded(trial.seed):
        lower = objective(task, net)
    stream, steps = shifted(task, 64, generator=trial.generator("shift")), trial.problem.budget.pretrain
    return Trained(net, trial.train(net, [task], lower, steps=steps, lr=1e-3, stream=stream, phase="align"))


def _start(trial: Trial) -> tuple[Task, Net]:
    """Join the sources that share the target's classes, beside the target's unlabelled rows."""
    task = joined(trial.target, trial.problem.shared())
    return task, trial.pretrained() if trial.problem.comes_pretrained() else trial.fresh()


def joined(target: Task, sources: list[Task]) -> Task:
    """Make one task of the sources' labelled rows under the target's name.

    This is the one place where answers of several tasks meet, so numbers are in the target's units here.
    """
    parts, answers = [s.train.known() for s in sources if s.train.held], []
    for part, source in zip(parts, (s for s in sources if s.train.held), strict=True):
        y = part.y.reshape(len(part), *parts[0].y.shape[1:])  # one number: an axis more or not
        if source.standard is not None and target.standard is not None:
            y = target.standard.apply(source.standard.undo(y)).to(y.device)
        answers.append(y)
    train = Labelled(join(*(p.x for p in parts)), torch.cat(answers))
    weights = None if target.weights is None else target.kind.balanced(train.y)
    return Task(target.name, target.kind, train, unlabelled=target.unlabelled, weights=weights)


def information(net: Net, task: Task, *, most: int = 2000) -> float:
    r"""Judge an adapted net without target labels: is it sure of each row, and not of one class only?

    .. math:: H(\bar p) - \overline{H(p)}

    the mutual information between row and prediction over the target's unlabelled rows, in nats.

    References:
        Krause, Perona & Gomes (NeurIPS 2010), equation 1
    """
    bare = task.unlabelled
    assert bare is not None
    x = bare.x if bare.held else bare.take(torch.arange(min(most, len(bare)))).x
    logits = predict(net, task.name, take(x, torch.arange(min(most, rows(x)))), progress=False)
    p = task.kind.probabilities(logits)
    assert p is not None  # the task has classes: a source has the same
    return informed(p)


def informed(p: Tensor) -> float:
    """Give the mutual information, in nats, between a row and its class of probabilities ``(B, C)``."""
    return float(entropy(p.mean(0)) - entropy(p).mean())


def entropy(p: Tensor) -> Tensor:
    """Give the entropy of probabilities ``(*, C)``, in nats."""
    return -(p * p.clamp(min=1e-12).log()).sum(-1)
