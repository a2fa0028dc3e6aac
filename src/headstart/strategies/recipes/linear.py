"""Linear classifiers on the features of a frozen backbone, written into heads.

Shapes: ``B`` rows, ``D`` features.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...maths import size
from ..trial import Trial
from .plain import by_planes, planes

PASSES = 100  # of a linear classifier over the answers at places, of which there are many
WORDS = 50_000  # with an answer each, that it goes through in a quarter of a minute


def standard(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each feature and one spread for all: the spread of each is not known from a few rows."""
    unit = size(z.abs().amax())  # of numbers that are far from it, squares leave the range of floats
    mean = (z / unit).mean(0)
    scale = (z / unit - mean).square().sum(1).mean().sqrt().clamp(min=1e-6)
    return mean * unit, scale * unit


def fold(layer: nn.Linear, mean: Tensor, scale: Tensor) -> None:
    """Write the standardisation of the features into the layer that reads them."""
    with torch.no_grad():
        layer.weight.div_(scale)
        layer.bias.sub_(layer.weight @ mean)


def regression(trial: Trial) -> Any:
    """Make a logistic regression as the trial's settings say; it is not fitted."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=trial.settings["C"], class_weight=trial.class_weight, max_iter=1000)


def quiet(model: Any, z: NDArray[Any], y: NDArray[Any]) -> Any:
    """Fit without warnings of convergence: the scores tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(z, y)


def linear_head(trial: Trial, z: Tensor, model: Any) -> nn.Module:
    """Fit scikit-learn's linear classifier on standardised features ``(B, D)``, and write it into a layer.

    Of answers at places, each is a row; of more than a learner goes through in seconds, some are drawn.
    """
    kind = trial.target.kind
    z, y = some_entries(trial, z)
    if not kind.per_row and kind.classes:
        model.set_params(max_iter=PASSES)
    mean, scale = standard(z)
    quiet(model, ((z - mean) / scale).double().cpu().numpy(), y.cpu().numpy())
    head = planes(model, kind.single).to(z.device)
    fold(head, mean, scale)
    return kind.placed(head)


def some_entries(trial: Trial, z: Tensor) -> tuple[Tensor, Tensor]:
    """List features and target of each answer by itself; of many at places, some that are drawn."""
    kind = trial.target.kind
    z, y = kind.entries(z, trial.labelled().y)
    columns, classes = z.shape[-1], len(kind.classes)
    most = by_planes(columns, classes)
    if kind.axes == 1:  # words differ, where pixels are much like their neighbours
        most = max(most, min(WORDS, 2**29 // (columns * max(1, classes - 1))))
    if kind.per_row or len(z) <= most:
        return z, y
    drawn = torch.randperm(len(z), generator=trial.generator("places of a learner"))[:most].to(z.device)
    return z[drawn], y[drawn]
