"""What the questions about two domains share: checks, and a classifier that is asked about unseen rows.

Shapes: ``N`` source rows, ``M`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

import warnings

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import wrong
from ..maths import random

FOLDS = 5
LEAST = 10  # rows of a side


def two(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of both sides in float64; ``ValueError`` where something is off."""
    for name, side in (("source", source), ("target", target)):
        if side.ndim != 2 or len(side) < LEAST:
            expected = f"features of at least {LEAST} rows, (rows, width)"
            raise wrong(f"`{name}`", expected=expected, found=tuple(side.shape))
        if not side.isfinite().all():
            raise wrong(f"`{name}`", expected="finite", found="infinity or NaN")
    if source.shape[1] != target.shape[1]:
        found = f"{source.shape[1]} and {target.shape[1]}"
        raise wrong("features of source and target", expected="of one width", found=found)
    return source.detach().double(), target.detach().double()


def some(rows: Tensor, most: int, purpose: str) -> Tensor:
    """Number at most so many rows, drawn at random where there are more."""
    if len(rows) <= most:
        return torch.arange(len(rows))
    return torch.randperm(len(rows), generator=random.generator(purpose, 0))[:most].sort().values


def probabilities_of(p: Tensor, name: str = "probabilities") -> Tensor:
    """Return rows of probabilities in float64; ``ValueError`` where they are none."""
    if p.ndim != 2 or not len(p) or p.shape[1] < 2:
        raise wrong(f"`{name}`", expected="a row for each case, (rows, classes)", found=tuple(p.shape))
    p = p.detach().double()
    if not p.isfinite().all() or bool((p < 0).any()) or bool(((p.sum(1) - 1).abs() > 1e-2).any()):
        hint = "pass `logits.softmax(1)`"
        raise wrong(f"rows of `{name}`", expected="at least 0 and of sum 1", found=p[0].tolist(), hint=hint)
    return p / p.sum(1, keepdim=True)


def unseen(x: NDArray[numpy.float64], y: NDArray[numpy.int64]) -> NDArray[numpy.float64]:
    """Give each row's class probabilities by a logistic regression on the other folds, ``(rows, K)``.

    Columns have the mean 0 and one spread. Folds hold each class alike.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    x = x - x.mean(0)
    x = x / max(float(numpy.sqrt(numpy.square(x).mean())), 1e-12)
    folds = StratifiedKFold(max(2, min(FOLDS, int(numpy.bincount(y).min()))), shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence: the scores tell
        return cross_val_predict(LogisticRegression(max_iter=200), x, y, cv=folds, method="predict_proba")


def sides_of(source: Tensor, target: Tensor) -> tuple[NDArray[numpy.float64], NDArray[numpy.int64]]:
    """Stack the rows of both sides, and number the sides: 0 the source, 1 the target."""
    x = torch.cat([source, target]).cpu().numpy()
    return x, numpy.repeat([0, 1], [len(source), len(target)])
