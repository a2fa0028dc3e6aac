"""Strategies that take the sources' rows as rows of the target: alone, or in one pool with the target's own.

They ask for a source with the target's very classes, or with as many numbers for an answer.

References:
    Daumé III (ACL 2007), section 2, https://aclanthology.org/P07-1033: "SrcOnly", "All" and "Weighted"
"""

from __future__ import annotations

from typing import Any, final

import torch

from ...tasks import Labelled, Stream, Task, batches
from ...tasks.nouns import join
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .align import LABELS, joined
from .plain import LOGISTIC, RIDGE, VECTORS, Learner, learn

ROWS = "the sources' rows, as rows of the target"
DAUME = "[Daumé III 2007](https://aclanthology.org/P07-1033)"


# The sources alone.


def source_logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on the sources' rows and use it on the target as it is."""
    return learn(trial, LOGISTIC, (of_sources(trial), 1))


SOURCE_LOGREG = Strategy(
    name="source+logreg",
    run=source_logreg,
    summary="logistic regression on the source, used as it is",
    options=rates(1.0, 0.1, 10.0, name="C"),
    needs=needs.source_classes,
    learns="source",
    reused=LABELS,
    paper=DAUME,
    builds=False,
)


def source_svm(trial: Trial) -> Trained:
    """Fit a support vector machine with a Gaussian kernel on the sources' rows and use it as it is."""
    return learn(trial, VECTORS, (of_sources(trial), 1))


SOURCE_SVM = Strategy(
    name="source+svm",
    run=source_svm,
    summary="Gaussian SVM on the source, used as it is",
    options=rates(1.0, 10.0, 100.0, name="C"),
    needs=needs.source_pairs,
    learns="source",
    reused=LABELS,
    paper=DAUME,
    builds=False,
)


def source_ridge(trial: Trial) -> Trained:
    """Fit a ridge regression on the sources' rows and use it on the target as it is."""
    return learn(trial, RIDGE, (of_sources(trial), 1))


SOURCE_RIDGE = Strategy(
    name="source+ridge",
    run=source_ridge,
    summary="ridge regression on the source, used as it is",
    options=rates(1.0, 10.0, 100.0, name="alpha"),
    needs=needs.source_numbers,
    learns="source",
    reused=LABELS,
    paper=DAUME,
    builds=False,
)


# One pool.


def pooled_logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on the rows of target and sources, each side weighed as a whole."""
    return pool(trial, LOGISTIC)


POOLED_LOGREG = Strategy(
    name="pooled+logreg",
    run=pooled_logreg,
    summary="logistic regression on target and source rows",
    options=rates(1.0, 0.1, 10.0, name="weight"),
    needs=needs.pooled_classes,
    reused=ROWS,
    paper=DAUME,
    builds=False,
)


def pooled_svm(trial: Trial) -> Trained:
    """Fit a support vector machine on the rows of target and sources, each side weighed as a whole."""
    return pool(trial, VECTORS)


POOLED_SVM = Strategy(
    name="pooled+svm",
    run=pooled_svm,
    summary="Gaussian SVM on target and source rows",
    options=rates(1.0, 0.1, 10.0, name="weight"),
    needs=needs.pooled_pairs,
    reused=ROWS,
    paper=DAUME,
    builds=False,
)


def pooled_ridge(trial: Trial) -> Trained:
    """Fit a ridge regression on the rows of target and sources, each side weighed as a whole."""
    return pool(trial, RIDGE)


POOLED_RIDGE = Strategy(
    name="pooled+ridge",
    run=pooled_ridge,
    summary="ridge regression on target and source rows",
    options=rates(1.0, 0.1, 10.0, name="weight"),
    needs=needs.pooled_numbers,
    reused=ROWS,
    paper=DAUME,
    builds=False,
)


def pooled(trial: Trial) -> Trained:
    """Train one head on the sources' labels, then on batches that are half target and half source."""
    target, problem = trial.target, trial.problem
    source = joined(target, problem.shared())
    net = trial.pretrained() if problem.comes_pretrained() else trial.fresh()
    lr, budget = trial.settings["lr"], problem.budget
    curves = trial.train(net, [source], steps=budget.pretrain, lr=lr, phase="pretrain")
    stream = Halves(target, source, budget.batch, generator=trial.generator("pool"))
    curves |= trial.train(net, [target], steps=problem.steps, lr=lr, stream=stream, phase="pool")
    return Trained(net, curves)


POOLED = Strategy(
    name="pooled",
    run=pooled,
    summary="one head for target and source rows",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.pooled,
    reused=ROWS,
    paper=DAUME,
)


def of_sources(trial: Trial) -> Labelled:
    """Join the labelled rows of the sources that share the target's kind of answer."""
    rows = joined(trial.target, trial.problem.shared()).train
    assert rows.held  # it was joined of rows in memory
    return rows


def pool(trial: Trial, learner: Learner) -> Trained:
    """Learn from rows of both sides: all of the target's count ``weight`` times as much as all sources'."""
    return learn(trial, learner, (trial.labelled(), trial.settings["weight"]), (of_sources(trial), 1))


@final
class Halves(Stream):
    """Make batches of which one half are rows of the target and one half of the source.

    Args:
        target: names the batches.
        source: with answers of the same kind.
        size: rows of a batch; at least one of each side.
        generator: two numbers are drawn from it.
    """

    def __init__(self, target: Task, source: Task, size: int, *, generator: torch.Generator) -> None:
        super().__init__(generator)
        self.name, half = target.name, max(1, size // 2)
        self.sides = [batches([task], half, generator=generator) for task in (target, source)]

    def _batch(self) -> dict[str, Labelled]:
        one, other = (next(side)[self.name] for side in self.sides)
        y = torch.cat([one.y, other.y.reshape(len(other.y), *one.y.shape[1:])])
        return {self.name: Labelled(join(one.x, other.x), y, one.complete and other.complete)}

    def state_dict(self) -> dict[str, Any]:
        """Return the state, and those of the two sides."""
        return super().state_dict() | {"sides": [side.state_dict() for side in self.sides]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the step that ``state`` was taken at."""
        super().load_state_dict(state)
        for side, its in zip(self.sides, state["sides"], strict=True):
            side.load_state_dict(its)
