"""Score sources and backbones for a target before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..engine import FeatureStore, predict
from ..errors import wrong
from ..measure import leep, logme
from ..models import freeze
from ..strategies import Situation, Starts, Trial
from ..strategies.posing import posed
from ..tasks import Task
from . import choice
from .trials import FEATURES


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


def rank(problem: Situation, seed: int = 0, *, out: str | Path | None = None) -> list[Ranked]:
    """Score each start for the target, best LogME first.

    A backbone that comes pretrained is one start, and so is each of several; otherwise each source is
    one, by a backbone pretrained on it for ``budget.pretrain`` steps. The target's labels are those of the
    largest number of shots; the scores never see its test rows.

    Args:
        problem: with a target of classes, and something to start from.
        seed: of the labelled rows that are kept, and of pretraining.
        out: directory of a comparison, whose kept features are used and added to.

    Raises:
        ValueError: if there is nothing to start from, or the target has no classes or no labels.

    Example:
        >>> import torch
        >>> from headstart.comparison import Problem
        >>> from headstart.strategies import Budget
        >>> from headstart.tasks import Labelled, Multiclass
        >>> rows = Labelled(torch.randn(20, 4), torch.arange(20) % 2)
        >>> new, old = (Task(name, Multiclass(2), rows, test=rows) for name in ("new", "old"))
        >>> [r.start for r in rank(Problem(new, [old], budget=Budget(pretrain=2)))]
        ['old']

    References:
        LogME: You et al. (ICML 2021), https://arxiv.org/abs/2102.11005
        LEEP: Nguyen et al. (ICML 2020), https://arxiv.org/abs/2002.12462
    """
    problem = problem.with_rows(targets=choice.cut(problem, max(problem.counts(), default=None), seed))
    target = problem.target
    if not target.kind.exclusive or not problem.labelled():
        what, expected = "target to rank for", "classes and labelled rows"
        raise wrong(what, expected=expected, found=str(target.kind))
    store = None if out is None else FeatureStore(Path(out) / FEATURES)
    if problem.backbones:
        each = {name: problem.using(name) for name in problem.backbones}
        known = {name: one for name, one in each.items() if one.comes_pretrained()}
        rows = [_score(name, Trial(one, {}, seed, Starts(store)), None) for name, one in known.items()]
        if rows:
            return sorted(rows, key=lambda row: -row.logme)
    if problem.comes_pretrained():
        return [_score(problem.start.name, Trial(problem, {}, seed, Starts(store)), None)]
    if not problem.sources:
        hint = "add [[sources]], or name a backbone that comes pretrained"
        none = "none with the target's columns" if problem.unlike else "none"
        raise wrong("`sources`", expected="given", found=f"{none}, and no pretrained backbone", hint=hint)
    rows = []
    for source in problem.sources:
        alone = problem.with_rows(sources=[source], rotations=False)
        rows.append(_score(source.name, Trial(posed(alone), {}, seed, Starts(store)), source))
    return sorted(rows, key=lambda row: -row.logme)


def _score(start: str, trial: Trial, source: Task | None) -> Ranked:
    rows, kind = trial.labelled(), trial.target.kind
    net = trial.pretrained() if source is None else trial.pretrain()[0]
    freeze(net.backbone)
    head, labels = next(iter(net.heads)), kind.numbers(rows.y)
    evidence = logme(trial.starts.features(net, rows.x, head), labels)
    if source is None or not source.kind.exclusive:
        return Ranked(start, evidence, None)
    p = source.kind.probabilities(predict(net, head, rows.x))
    assert p is not None  # the source has classes
    return Ranked(start, evidence, leep(p, labels))
