"""Strategies that reuse nothing and need no network: classical learners on the target's rows as they are.

What reuse gains can only be told beside them: a better learner is no reuse.

References:
    Pedregosa et al. (JMLR 2011), https://jmlr.org/papers/v12/pedregosa11a.html
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from ...engine import seeded
from ...models import freeze
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .features import chosen
from .left_out import plain_penalty
from .plain import BOOSTING, LOGISTIC, NEIGHBOURS, RIDGE, VECTORS, Rows, learn


def _by_left_out(trial: Trial, rows: Rows) -> nn.Module:
    settings = {**trial.settings, "C": plain_penalty(trial, rows)}
    return LOGISTIC.fit(replace(trial, settings=settings), rows)


CHOOSING = replace(LOGISTIC, fit=_by_left_out)


def raw_logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on the target's rows as they are.

    Rows that are left out in turn say whether ``C``, a tenth or ten times of it is the penalty, as for
    frozen features (``left_out.regressed``). Of more than 20,000 rows, or 32,000,000 numbers over the planes
    between classes, rows are drawn at random.
    """
    return learn(trial, CHOOSING, (trial.labelled(), 1))


RAW_LOGREG = Strategy(
    name="raw+logreg",
    run=raw_logreg,
    summary="logistic regression on the rows as they are",
    options=rates(1.0, name="C"),
    needs=needs.raw_classes,
    builds=False,
)


def raw_knn(trial: Trial) -> Trained:
    """Answer by the nearest rows, and moved copies of images, weighed by the inverse of their distance.

    A number is the mean of at least five rows. Of more than 4,000,000 numbers in all, rows are drawn at
    random.
    """
    return learn(trial, NEIGHBOURS, (trial.labelled(), 1))


RAW_KNN = Strategy(
    name="raw+knn",
    run=raw_knn,
    summary="the nearest rows as they are",
    options=rates(1, 5, 15, name="k"),
    needs=needs.raw,
    builds=False,
)


def raw_svm(trial: Trial) -> Trained:
    """Fit a support vector machine with a Gaussian kernel on the target's rows, and moved copies of images.

    Of more than 3,000 rows (1,380 of 784 columns, 550 of 5,000), rows are drawn at random.
    """
    return learn(trial, VECTORS, (trial.labelled(), 1))


RAW_SVM = Strategy(
    name="raw+svm",
    run=raw_svm,
    summary="Gaussian SVM on the rows as they are",
    options=rates(1.0, 10.0, 100.0, name="C"),
    needs=needs.raw_pairs,
    builds=False,
)


def raw_boosting(trial: Trial) -> Trained:
    """Boost trees on the target's rows as they are, scikit-learn's histogram gradient boosting.

    There are 100 rounds, or fewer where that makes more than 2,500 trees; a leaf holds a tenth of the rows,
    or 20. Of more than 20,000 rows, or 500,000 numbers in all, rows are drawn at random.
    """
    return learn(trial, BOOSTING, (trial.labelled(), 1))


RAW_BOOSTING = Strategy(
    name="raw+boosting",
    run=raw_boosting,
    summary="boosted trees on the rows as they are",
    options=[
        {"learning_rate": 0.1, "leaves": 8},
        {"learning_rate": 0.1, "leaves": 31},
        {"learning_rate": 0.3, "leaves": 8},
    ],
    needs=needs.boosting,
    builds=False,
)


def raw_ridge(trial: Trial) -> Trained:
    """Fit a ridge regression on the target's rows as they are."""
    return learn(trial, RIDGE, (trial.labelled(), 1))


RAW_RIDGE = Strategy(
    name="raw+ridge",
    run=raw_ridge,
    summary="ridge regression on the rows as they are",
    options=rates(1.0, 10.0, 100.0, name="alpha"),
    needs=needs.raw_numbers,
    builds=False,
)


def tfidf_logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on the target's words, counted and weighed by how rare they are.

    Rows that are left out in turn say whether ``C``, a tenth or ten times of it is the penalty.
    """
    return learn(trial, CHOOSING, (trial.labelled(), 1))


TFIDF_LOGREG = Strategy(
    name="tfidf+logreg",
    run=tfidf_logreg,
    summary="logistic regression on counted words",
    options=rates(10.0, name="C"),
    needs=needs.words,
    builds=False,
)


def untrained_logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on features of the backbone with random weights, the same in every trial.

    A placebo: what is gained over it, the knowledge in the weights has gained.
    """
    with seeded(0):
        net = trial.net(trial.problem.build(pretrained=False))
    freeze(net.backbone)
    trial.starts.knows(net.backbone, "untrained")
    return chosen(trial, net)


UNTRAINED_LOGREG = Strategy(
    name="untrained+logreg",
    run=untrained_logreg,
    summary="logistic regression on features of random weights",
    options=rates(10.0, name="C"),
    needs=needs.untrained,
    frozen="backbone",
)
