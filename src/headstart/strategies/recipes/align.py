"""Strategies for a target without labels whose classes are a source's.

References:
    each strategy has its own; AdaBN: Li et al. (ICLR workshops 2017), https://arxiv.org/abs/1603.04779
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ...domains import (
    AFN,
    CDAN,
    CMD,
    CORAL,
    DANN,
    JAN,
    MCC,
    MCD,
    MDD,
    MMD,
    PADA,
    AdaMatch,
    DeepJDOT,
    PseudoLabel,
)
from ...engine import Watch, seeded
from ...models import Net
from ...seams import Objective
from ...tasks import Labelled, Stream, Task, batches
from ...tasks.nouns import join
from .. import needs
from ..situation import Situation, width_of
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .health import troubles
from .sides import by_side, watched

LABELS = "the source's labels"


def source_only(trial: Trial) -> Trained:
    """Train on the source's labels and use the net on the target as it is."""
    budget, lr = trial.problem.budget, trial.settings["lr"]
    task, net, watch = begun(trial, budget.pretrain)
    stream = batches([task], budget.batch, generator=trial.generator("source"))
    stream = trial.moved(stream, [task], "source")
    curves = trial.train(
        net, [task], steps=budget.pretrain, lr=lr, stream=stream, watch=watch, phase="source"
    )
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


BARE = LABELS + ", unlabelled target rows"


def match(trial: Trial, method: Callable[..., Objective]) -> Trained:
    """Lower an objective that has no weights of its own, made as ``method(task, weight=...)``."""
    return align(trial, lambda task, net: method(task, weight=trial.settings["weight"]))


def contend(trial: Trial, method: Callable[..., Objective]) -> Trained:
    """Lower an objective with weights of its own, made as ``method(task, features=..., weight=...)``."""
    weight = trial.settings["weight"]
    return align(trial, lambda task, net: method(task, features=width_of(net.backbone, task), weight=weight))


def aligning(
    name: str,
    run: Callable[[Trial], Trained],
    summary: str,
    weights: Sequence[float],
    paper: str,
    needs: Callable[[Situation], str] = needs.shift,
    aligns: bool = True,
) -> Strategy:
    """Make the strategy of an objective of the room ``domains``."""
    return Strategy(
        name=name,
        run=run,
        summary=summary,
        options=rates(*weights, name="weight"),
        needs=needs,
        learns="unlabelled",
        reused=BARE,
        paper=paper,
        aligns=aligns,
    )


DANN_STRATEGY = aligning(
    "dann",
    partial(contend, method=DANN),
    "features a critic cannot tell apart",
    (0.3, 0.1, 1.0),
    "[Ganin et al. 2016](https://arxiv.org/abs/1505.07818)",
    needs.answered_shift,
)
MMD_STRATEGY = aligning(
    "mmd",
    partial(match, method=MMD),
    "features whose distributions agree",
    (0.3, 0.1, 1.0),
    "[Long et al. 2015](https://arxiv.org/abs/1502.02791)",
    needs.answered_shift,
)
ALIGNING: tuple[Strategy, ...] = (
    aligning(
        "coral",
        partial(match, method=CORAL),
        "features whose covariances agree",
        (10.0, 1.0, 100.0),
        "[Sun & Saenko 2016](https://arxiv.org/abs/1607.01719)",
        needs.answered_shift,
    ),
    aligning(
        "cmd",
        partial(match, method=CMD),
        "features whose central moments agree",
        (0.3, 0.1, 1.0),
        "[Zellinger et al. 2017](https://arxiv.org/abs/1702.08811)",
        needs.answered_shift,
    ),
    aligning(
        "jan",
        partial(match, method=JAN),
        "features and predictions that are jointly distributed alike",
        (0.3, 0.1, 1.0),
        "[Long et al. 2017](https://arxiv.org/abs/1605.06636)",
    ),
    aligning(
        "cdan",
        partial(contend, method=CDAN),
        "features a critic who sees the predictions cannot tell apart",
        (0.3, 0.1, 1.0),
        "[Long et al. 2018](https://arxiv.org/abs/1705.10667)",
    ),
    aligning(
        "mcc",
        partial(match, method=MCC),
        "classes that are not confused on the target",
        (0.3, 0.1, 1.0),
        "[Jin et al. 2020](https://arxiv.org/abs/1912.03699)",
        aligns=False,
    ),
    aligning(
        "afn",
        partial(match, method=AFN),
        "features that grow longer on both sides",
        (0.05, 0.01, 0.1),
        "[Xu et al. 2019](https://arxiv.org/abs/1811.07456)",
        aligns=False,
    ),
    aligning(
        "mdd",
        partial(contend, method=MDD),
        "features on which no second head contradicts the first",
        (0.1, 0.03, 0.3),
        "[Zhang et al. 2019](https://arxiv.org/abs/1904.05801)",
    ),
    aligning(
        "mcd",
        partial(contend, method=MCD),
        "features on which two heads cannot differ",
        (0.3, 0.1, 1.0),
        "[Saito et al. 2018](https://arxiv.org/abs/1712.02560)",
    ),
    aligning(
        "deepjdot",
        partial(match, method=DeepJDOT),
        "features and labels carried to the target at least cost",
        (0.1, 0.01, 1.0),
        "[Damodaran et al. 2018](https://arxiv.org/abs/1803.10081)",
        needs.transported_shift,
    ),
    aligning(
        "pada",
        partial(contend, method=PADA),
        "as dann, where the target lacks some classes",
        (0.3, 0.1, 1.0),
        "[Cao et al. 2018](https://arxiv.org/abs/1808.04205)",
    ),
    aligning(
        "self-training",
        partial(match, method=PseudoLabel),
        "own answers as labels, where they are sure",
        (1.0, 0.3, 3.0),
        "[Lee 2013](https://arxiv.org/abs/2001.07685)",
        aligns=False,
    ),
)


def adabn(trial: Trial) -> Trained:
    """Train on the source, then take the statistics of batch normalisation from the target's rows."""
    trained = source_only(trial)
    task = joined(trial.target, trial.problem.shared())
    return replace(trained, **by_side(trial, trained.net, task))


ADABN = Strategy(
    name="adabn",
    run=adabn,
    summary="train on the source, normalise by the target's statistics",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.normalised_shift,
    learns="unlabelled",
    reused=BARE,
    paper="[Li et al. 2017](https://arxiv.org/abs/1603.04779)",
    aligns=True,
)


def align(trial: Trial, objective: Callable[[Task, Net], Objective]) -> Trained:
    """Lower an objective on the source's labelled and the target's unlabelled rows.

    Args:
        trial: of a target with unlabelled rows and a source with its classes.
        objective: makes it for the joint task and the net.
    """
    task, net, watch = begun(trial, trial.problem.budget.pretrain)
    with seeded(trial.seed):
        lower = objective(task, net)
    return aligned(trial, net, task, lower, watch=watch)


def adamatch(trial: Trial) -> Trained:
    """Lower ``AdaMatch`` on two views of each image."""
    task, net, watch = begun(trial, trial.problem.budget.pretrain)
    lower = AdaMatch(task, weight=trial.settings["weight"], seed=trial.seed)
    return aligned(trial, net, task, lower, trial.views(task), watch)


ADAMATCH = aligning(
    "adamatch",
    adamatch,
    "own sure answers as labels of images changed much",
    (1.0, 0.3, 3.0),
    "[Berthelot et al. 2022](https://arxiv.org/abs/2106.04732)",
    needs.pictured_shift,
    aligns=False,
)


def aligned(
    trial: Trial,
    net: Net,
    task: Task,
    lower: Objective,
    stream: Stream | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Lower an objective on both sides, and leave a net that answers for the target."""
    stream, steps = stream or trial.sides(task), trial.problem.budget.pretrain
    curves = trial.train(net, [task], lower, steps=steps, lr=1e-3, stream=stream, watch=watch, phase="align")
    return Trained(net, curves, {"troubles": troubles(curves)}, **by_side(trial, net, task))


def begun(trial: Trial, steps: int) -> tuple[Task, Net, Watch | None]:
    """Join the sources that share the target's classes, beside the target's unlabelled rows.

    Returns:
        the joint task, a net, and what looks at it along a phase of so many steps, if anything does.
    """
    task, watch = watched(trial, joined(trial.target, trial.problem.shared()), steps)
    return task, trial.pretrained() if trial.problem.comes_pretrained() else trial.fresh(), watch


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


def source_numbers(sources: Sequence[Task]) -> Tensor:
    """Tell which source each row of ``joined`` is of, counted from 0: ``(N,)``."""
    counts = [len(s.train.known()) for s in sources if s.train.held]
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
