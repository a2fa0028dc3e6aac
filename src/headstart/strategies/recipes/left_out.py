"""What regressions say of rows that were left out of them, and the penalty that these rows choose.

Shapes: ``B`` rows, ``D`` features, ``C`` classes.

References:
    Stone (JRSS B 1974), https://doi.org/10.1111/j.2517-6161.1974.tb00994.x
    Breiman et al. (1984), Classification and Regression Trees, section 3.4.3: within one standard error
"""

from __future__ import annotations

from dataclasses import replace

import numpy
import torch
from torch import Tensor, nn

from ..trial import Trial
from .linear import PASSES, linear_head, quiet, regression, standard
from .plain import Rows

FOLDS = 5  # at most: as many as the smallest class has rows
MOST, WORK = 1000, 2**23  # rows that choose a penalty, and numbers of theirs over the planes between classes
TENFOLD = (1.0, 0.1, 10.0)  # of the stated penalty
SURENESS = torch.logspace(-1, 0.7, 35, dtype=torch.double)  # factors on all logits


def regressed(trial: Trial, z: Tensor) -> tuple[nn.Module, float]:
    """Fit a logistic regression on features ``(B, D)`` of the labelled rows; return a head, and its ``C``.

    Where rows can be left out in turn, the setting ``C``, a tenth and ten times of it are tried on these.
    What counts is how likely they are, at the temperature that makes them likeliest. ``C`` stays what was set
    unless another is likelier by more than a standard error; among those within one of the likeliest, the one
    nearest to it is taken. Rows of one group are left out together. It stays as well where a class has one
    row, or one group, where each row has many answers, and where there are so many classes that trying would
    take long.
    """
    found = penalty(trial, z)
    part = replace(trial, settings={**trial.settings, "C": found})
    return linear_head(part, z, regression(part)), found


def penalty(trial: Trial, z: Tensor) -> float:
    """Say which ``C`` rows left out choose for a regression on features ``(B, D)`` of the labelled rows."""
    kind, rows = trial.target.kind, trial.labelled()
    if not kind.per_row:
        return float(trial.settings["C"])
    z, y = kind.entries(z, rows.y)
    y = kind.single.numbers(y).cpu()
    some = _some(trial, y)
    z = turned(z[some.to(z.device)].double().cpu())
    return _likeliest(trial, z, y, some, rows.group, standardised=True)


def plain_penalty(trial: Trial, rows: Rows) -> float:
    """Say which ``C`` rows left out choose for a regression on rows as a plain learner takes them."""
    if rows.weights is not None:
        return float(trial.settings["C"])
    y = torch.from_numpy(rows.y)
    some = _some(trial, y)
    z = rows.z[some.numpy()]
    if isinstance(z, numpy.ndarray):
        z = turned(torch.from_numpy(z))
    else:  # counts of words
        z = _unfolded(torch.from_numpy((z @ z.T).toarray()))
    return _likeliest(trial, z, y, some, rows.group, standardised=False)


def _some(trial: Trial, y: Tensor) -> Tensor:
    """Number the rows that choose: some that are drawn where there are many."""
    most = min(MOST, int((WORK / max(1, len(trial.target.kind.classes) - 1)) ** 0.5))
    return torch.randperm(len(y), generator=trial.generator("rows that choose a penalty"))[:most]


def _likeliest(
    trial: Trial, z: Tensor, numbers: Tensor, some: Tensor, group: Tensor | None, *, standardised: bool
) -> float:
    """Try three penalties on those rows, of which these are the features."""
    stated, y = float(trial.settings["C"]), numbers[some]
    part = folded(y) if group is None else folded_groups(y, group.cpu()[some])
    if part is None or len(y.unique()) < len(numbers.unique()):
        return stated
    likely = {}
    for C in (factor * stated for factor in TENFOLD):
        tried = replace(trial, settings={**trial.settings, "C": C})
        likely[C] = likelihood(tried, z, y, part, standardised=standardised)
    best = max(likely.values(), key=lambda said: float(said.mean()))
    behind = ((C, best - said) for C, said in likely.items())
    return next(C for C, rows in behind if rows.mean() <= rows.std() / len(rows) ** 0.5)


def folded(y: Tensor) -> Tensor | None:
    """Number the part in which each row is left out ``(B,)``, every class in each; ``None`` for single rows.

    Example:
        >>> folded(torch.tensor([0, 1, 0, 1, 1])).tolist()
        [0, 0, 1, 1, 0]
    """
    folds = min(FOLDS, int(y.unique(return_counts=True)[1].min())) if len(y) else 0
    if folds < 2:
        return None
    part = torch.empty(len(y), dtype=torch.long)
    part[y.argsort(stable=True)] = torch.arange(len(y)) % folds
    return part


def folded_groups(y: Tensor, group: Tensor) -> Tensor | None:
    """Number the part in which each row is left out, those of one group together.

    ``None`` where there is one group, or a class would be in no other part.

    Example:
        >>> folded_groups(torch.tensor([0, 1, 0, 1]), torch.tensor([7, 7, 3, 3])).tolist()
        [1, 1, 0, 0]
        >>> folded_groups(torch.tensor([0, 0, 1, 1]), torch.tensor([7, 7, 3, 3]))
    """
    groups, number = group.cpu().unique(return_inverse=True)
    part = number % min(FOLDS, len(groups))
    classes = len(y.unique())
    if len(groups) < 2 or any(len(y[part != one].unique()) < classes for one in part.unique()):
        return None
    return part


def likelihood(trial: Trial, z: Tensor, y: Tensor, part: Tensor, *, standardised: bool = True) -> Tensor:
    """Give the log likelihood of each row left out ``(B,)``, by the trial's regression on the other parts."""
    said = left_out(trial, z, y, part, standardised=standardised)
    return likeliest(said, y.unique(return_inverse=True)[1])


def turned(z: Tensor) -> Tensor:
    """Turn features ``(B, D)`` so that no more than ``B`` are not 0; the regression does not see it."""
    if z.shape[1] <= len(z):
        return z
    u, s, _ = torch.linalg.svd(z - z.mean(0), full_matrices=False)
    return u * s


def _unfolded(products: Tensor) -> Tensor:
    """Give features ``(B, B)`` of rows whose products ``(B, B)`` are these, less their mean: of thin rows."""
    centred = products - products.mean(0) - products.mean(1, keepdim=True) + products.mean()
    values, directions = torch.linalg.eigh(centred)
    return directions * values.clamp(min=0).sqrt()


def left_out(trial: Trial, z: Tensor, y: Tensor, part: Tensor, *, standardised: bool = True) -> Tensor:
    """Give log probabilities of the classes that are there: of each row by a regression on other parts."""
    said = torch.zeros(len(z), len(y.unique()), dtype=torch.double)
    for number in part.unique():
        out = part == number
        mean, scale = standard(z[~out]) if standardised else (0.0, 1.0)
        model, rows = regression(trial), (z - mean) / scale
        if not trial.target.kind.per_row:
            model.set_params(max_iter=PASSES)
        model = quiet(model, rows[~out].numpy(), y[~out].numpy())
        said[out] = torch.from_numpy(model.predict_log_proba(rows[out].numpy()))
    return said


def likeliest(said: Tensor, y: Tensor) -> Tensor:
    """Give the log likelihood of each row at the temperature at which that of all is highest.

    Few rows and many features make a regression too sure, at some blocks more than at others.

    Example:
        >>> right = torch.tensor([[0.9, 0.1]] * 7 + [[0.1, 0.9]] * 3).log()
        >>> round(likeliest(3 * right, torch.zeros(10).long()).exp()[0].item(), 1)
        0.7
    """
    logits = said.clamp(min=-30)
    at = torch.arange(len(y))
    rows = torch.stack([(factor * logits).log_softmax(1)[at, y] for factor in SURENESS])
    return rows[rows.mean(1).argmax()]
