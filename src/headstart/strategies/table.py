"""The strategies by name: what each reuses, what it may choose, and when it applies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import unknown, wrong
from ..tasks import Labelled
from . import domain, fewshot, supervised
from .problem import Problem
from .trial import Trained, Trial


@dataclass(frozen=True)
class Strategy:
    """Describe one way of reuse.

    Args:
        run: trains a net for a trial.
        summary: one sentence for tables and the report.
        options: settings to choose from; the first is the stated default. All strategies have equally many.
        needs: tells why a problem does not meet its needs, or ``""``.
        reused: what knowledge it takes over.
        frozen: what does not move while the target is learned.
        labels: whether it learns from labelled target rows (else from unlabelled ones).
    """

    run: Callable[[Trial], Trained]
    summary: str
    options: Sequence[Mapping[str, Any]]
    needs: Callable[[Problem], str]
    reused: str
    frozen: str
    labels: bool = True


def _labels(problem: Problem) -> str:
    return "" if problem.labelled() else "the target has no labelled rows"


def _tensors(problem: Problem) -> str:
    if isinstance(problem.target.train, Labelled):
        return _labels(problem)
    return "the target's rows are a dataset; what is computed of all of them needs them in tensors"


def _start(problem: Problem) -> str:
    if _labels(problem) or problem.comes_pretrained() or problem.sources:
        return _labels(problem)
    return "there is no pretrained backbone, and no source to pretrain one on"


def _features(problem: Problem) -> str:
    return _tensors(problem) or _start(problem)


def _classes(problem: Problem) -> str:
    if problem.target.kind.exclusive:
        return _features(problem)
    return "the target is no classification"


def _sources(problem: Problem) -> str:
    return _labels(problem) or ("" if problem.sources else "there is no source to train with")


def _prototypes(problem: Problem) -> str:
    if not problem.target.kind.extensible:
        return "the target is not one of several classes"
    return _tensors(problem) or _sources(problem)


def _episodes(problem: Problem) -> str:
    if _prototypes(problem):
        return _prototypes(problem)
    if any(map(fewshot.allows_episodes, problem.sources)):
        return ""
    return f"no source has classes with more than {fewshot.QUERIES} rows each to cut episodes from"


def _shift(problem: Problem) -> str:
    if problem.target.unlabelled is None:
        return "the target has no unlabelled rows"
    if not problem.shared():
        return "no source has the target's classes"
    return ""


def _rates(*rates: float, name: str = "lr") -> list[dict[str, float]]:
    return [{name: rate} for rate in rates]


FEATURES = "the pretrained backbone, as a fixed extractor"
WEIGHTS = "the pretrained backbone, as a start"
ALL = "nothing"

STRATEGIES: dict[str, Strategy] = {
    "scratch": Strategy(
        supervised.scratch,
        "new weights, trained on the target alone",
        _rates(3e-3, 1e-3, 1e-2),
        _labels,
        "nothing",
        ALL,
    ),
    "features+logreg": Strategy(
        supervised.features_logreg,
        "logistic regression on frozen features",
        _rates(1.0, 0.1, 10.0, name="C"),
        _classes,
        FEATURES,
        "backbone",
    ),
    "features+svm": Strategy(
        supervised.features_svm,
        "linear SVM on frozen features",
        _rates(0.1, 0.01, 1.0, name="C"),
        _classes,
        FEATURES,
        "backbone",
    ),
    "features+mlp": Strategy(
        supervised.features_mlp,
        "small net on frozen features",
        _rates(3e-3, 1e-3, 1e-2),
        _classes,
        FEATURES,
        "backbone",
    ),
    "probe": Strategy(
        supervised.probe,
        "new linear head on the frozen backbone",
        _rates(1e-2, 3e-3, 3e-2),
        _start,
        FEATURES,
        "backbone",
    ),
    "finetune": Strategy(
        supervised.finetune,
        "head first, then all, smaller rates below",
        _rates(1e-3, 3e-4, 3e-3),
        _start,
        WEIGHTS,
        "backbone at first",
    ),
    "lp_ft": Strategy(
        supervised.lp_ft,
        "head for half the steps, then all with one small rate",
        _rates(3e-4, 1e-4, 1e-3),
        _start,
        WEIGHTS,
        "backbone at first",
    ),
    "gradual": Strategy(
        supervised.gradual,
        "unfreeze stage by stage from the top down",
        _rates(1e-3, 3e-4, 3e-3),
        _start,
        WEIGHTS,
        "lower stages at first",
    ),
    "l2sp": Strategy(
        supervised.l2sp,
        "fine-tune near the pretrained weights",
        _rates(1.0, 0.1, 10.0, name="weight"),
        _start,
        WEIGHTS,
        "backbone at first",
    ),
    "multitask": Strategy(
        supervised.multitask,
        "target and sources together, then the target",
        _rates(3e-3, 1e-3, 1e-2),
        _sources,
        "the sources' rows",
        ALL,
    ),
    "protonet": Strategy(
        fewshot.protonet,
        "episodes on the sources, then nearest class mean",
        _rates(1e-4, 3e-4, 1e-3, name="meta_lr"),
        _episodes,
        WEIGHTS + " for episodes",
        "backbone",
    ),
    "maml": Strategy(
        fewshot.maml,
        "episodes on the sources, then a few gradient steps",
        _rates(0.01, 0.003, 0.03),
        _episodes,
        WEIGHTS + " for episodes",
        "normalisation",
    ),
    "pretrain+multitask+fewshot": Strategy(
        fewshot.pretrain_multitask_fewshot,
        "pretrained, trained with the sources, then class means",
        _rates(1e-3, 3e-4, 3e-3),
        _prototypes,
        WEIGHTS + ", and the sources' rows",
        "backbone at last",
    ),
    "source-only": Strategy(
        domain.source_only,
        "train on the source, use as it is",
        _rates(1e-3, 3e-4, 3e-3),
        _shift,
        "the source's labels",
        ALL,
        labels=False,
    ),
    "dann": Strategy(
        domain.dann,
        "features a critic cannot tell apart",
        _rates(0.3, 0.1, 1.0, name="weight"),
        _shift,
        "the source's labels, unlabelled target rows",
        ALL,
        labels=False,
    ),
    "mmd": Strategy(
        domain.mmd,
        "features whose distributions agree",
        _rates(0.3, 0.1, 1.0, name="weight"),
        _shift,
        "the source's labels, unlabelled target rows",
        ALL,
        labels=False,
    ),
}


def applicable(
    problem: Problem, strategies: str | Sequence[str] = "auto"
) -> tuple[list[str], dict[str, str]]:
    """List the strategies that apply to a problem, and say why the others do not.

    Args:
        problem: the user's.
        strategies: ``"auto"`` for all that apply, or names; the baseline is always added.

    Raises:
        ValueError: for an unknown name, or where none applies.

    Example:
        >>> import torch
        >>> from headstart.tasks import Labelled, Multiclass, Task
        >>> rows = Labelled(torch.randn(8, 4), torch.arange(8) % 2)
        >>> names, skipped = applicable(Problem(Task("new", Multiclass(2), rows, test=rows)))
        >>> names, skipped["multitask"]
        (['scratch'], 'there is no source to train with')
    """
    auto = isinstance(strategies, str) and strategies == "auto"
    asked = list(STRATEGIES) if auto else [strategies] if isinstance(strategies, str) else list(strategies)
    for name in asked:
        if name not in STRATEGIES:
            raise unknown("strategy", name, STRATEGIES)
    if (base := baseline(problem)) not in asked:
        asked.insert(0, base)
    reasons = {name: STRATEGIES[name].needs(problem) for name in dict.fromkeys(asked)}
    names = [name for name, reason in reasons.items() if not reason]
    if not names:
        why = ", ".join(f"{name}: {reason}" for name, reason in reasons.items())
        hint = "give the target labels, or a source with its classes and rows without labels"
        raise wrong("problem", expected="one that a strategy applies to", found=f"none ({why})", hint=hint)
    return names, {name: reason for name, reason in reasons.items() if reason}


def baseline(problem: Problem) -> str:
    """Name what gains are measured against: ``scratch``, or ``source-only`` without target labels."""
    return "scratch" if problem.labelled() else "source-only"
