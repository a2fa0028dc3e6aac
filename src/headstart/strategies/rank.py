"""Score sources and backbones for a target before anything is trained on it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..engine import cached_features, predict
from ..errors import wrong
from ..measure import leep, logme
from ..models import freeze
from ..tasks import Task
from .choose import cut
from .problem import Problem
from .trial import Trial


@dataclass(frozen=True, slots=True)
class Ranked:
    """Hold what is known of one start before training on the target.

    Args:
        start: a source, or the pretrained backbone.
        logme: log evidence per row of the target's labels, given the features; higher is better.
        leep: mean log likelihood of the labels, given the source head's classes, at most 0; ``None``
            without a source head of classes.
    """

    start: str
    logme: float
    leep: float | None


def rank(problem: Problem, seed: int = 0) -> list[Ranked]:
    """Score each start for the target, best LogME first.

    A backbone that comes pretrained is one start; otherwise each source is one, by a backbone
    pretrained on it for ``budget.pretrain`` steps. The target's labels are those of the largest
    number of shots; the scores never see its test rows.

    Args:
        problem: with a target of classes, and something to start from.
        seed: of the labelled rows that are kept, and of pretraining.

    Raises:
        ValueError: if there is nothing to start from, or the target has no classes or no labels.

    Example:
        >>> import torch
        >>> from headstart.tasks import Labelled, Multiclass
        >>> rows = Labelled(torch.randn(20, 4), torch.arange(20) % 2)
        >>> new, old = (Task(name, Multiclass(2), rows, test=rows) for name in ("new", "old"))
        >>> from headstart.strategies import Budget
        >>> [r.start for r in rank(Problem(new, [old], budget=Budget(pretrain=2)))]
        ['old']

    References:
        LogME: You et al. (ICML 2021), https://arxiv.org/abs/2102.11005
        LEEP: Nguyen et al. (ICML 2020), https://arxiv.org/abs/2002.12462
    """
    problem = cut(problem, max(problem.counts(), default=None), seed)
    target = problem.target
    if not target.kind.exclusive or not problem.labelled():
        raise wrong("target to rank for", expected="classes and labelled rows", found=str(target.kind))
    if problem.comes_pretrained():
        return [_score(str(problem.backbone), Trial(problem, {}, seed), None)]
    if not problem.sources:
        hint = "add [[sources]], or name a backbone that comes pretrained"
        raise wrong("`sources`", expected="given", found="none, and no pretrained backbone", hint=hint)
    rows = [
        _score(
            source.name,
            Trial(dataclasses.replace(problem, sources=[source], rotations=False), {}, seed),
            source,
        )
        for source in problem.sources
    ]
    return sorted(rows, key=lambda row: -row.logme)


def _score(start: str, trial: Trial, source: Task | None) -> Ranked:
    rows = trial.labelled()
    net = trial.pretrained() if source is None else trial._pretrain()
    freeze(net.backbone)
    head, labels = next(iter(net.heads)), rows.y.long()
    evidence = logme(cached_features(net, rows.x, task=head), labels)
    if source is None or not source.kind.exclusive:
        return Ranked(start, evidence, None)
    p = source.kind.probabilities(predict(net, head, rows.x))
    return Ranked(start, evidence, None if p is None else leep(p, labels))
