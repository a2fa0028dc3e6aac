"""Which layer to transfer: features at the block of a frozen backbone that left-out rows choose.

Shapes: ``B`` rows, ``D`` features.

References:
    Yosinski et al. (NeurIPS 2014), https://arxiv.org/abs/1411.1792
    Evci et al. (ICML 2022), https://arxiv.org/abs/2201.03529
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...maths.random import generator
from ...models import AtAllCuts, Net, cut, freeze, widths
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .features import fold, standard
from .plain import planes

FOLDS = 5  # at most: as many as the smallest class has rows
MOST = 300  # rows that choose
DEEP = 2 / 3  # of the way up: the stated default, where a class has one row


def layer_logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on frozen features at one block, which this trial's own rows choose.

    One pass over the rows gives the features at all blocks. The block is taken at which rows that are left
    out in turn are likeliest; where a class has one row alone, the block two thirds of the way up. At most
    300 rows choose. The backbone that is handed over ends there.

    Differs from the papers:
        one block is taken, not the first ones with their weights to be tuned, nor parts of several.
    """
    net, rows, target = trial.pretrained(), trial.labelled(), trial.target
    freeze(net.backbone)
    first = rows.take(torch.tensor([0])).x
    sizes = widths(net.backbone, first)
    every = Net(freeze(AtAllCuts(net.backbone, list(sizes))), {})
    features = trial.starts.features(every, rows.x, target.name).split(list(sizes.values()), 1)
    at, y = dict(zip(sizes, features, strict=True)), target.kind.numbers(rows.y).cpu()
    likely = _likelihoods(trial, at, y)
    layer = max(likely, key=lambda name: likely[name]) if likely else list(at)[_default(len(at))]
    mean, scale = standard(at[layer])
    model = _fit(trial, _array((at[layer] - mean) / scale), rows.y.cpu().numpy())
    head = planes(model, target.kind).to(at[layer].device)
    fold(head, mean, scale)
    trunk = freeze(cut(net.backbone, layer, first))
    told = {"layer": layer or "all", "likelihood": {name or "all": value for name, value in likely.items()}}
    return Trained(Net(trunk, {target.name: head}), {}, told)


LAYER_LOGREG = Strategy(
    name="features@layer+logreg",
    run=layer_logreg,
    summary="logistic regression on frozen features at the best block",
    options=rates(10.0, 1.0, 100.0, name="C"),
    needs=needs.classes,
    reused="the lower blocks of the pretrained backbone, as a fixed extractor",
    frozen="backbone",
    paper="[Yosinski et al. 2014](https://arxiv.org/abs/1411.1792)",
)


def _default(count: int) -> int:
    """Say which of so many cuts is taken without rows to choose by; the last of them is the whole."""
    return max(0, math.ceil(DEEP * (count - 1)) - 1)


def _likelihoods(trial: Trial, at: Mapping[str, Tensor], y: Tensor) -> dict[str, float]:
    """Give the mean log likelihood of rows left out, by cut; nothing where a class has a single row."""
    draws = generator("layer", trial.seed)
    some = torch.randperm(len(y), generator=draws)[:MOST]
    y = y[some]
    folds = min(FOLDS, int(y.unique(return_counts=True)[1].min()))
    if folds < 2:
        return {}
    part = torch.empty(len(y), dtype=torch.long)
    part[y.argsort(stable=True)] = torch.arange(len(y)) % folds  # every class in each
    found = {}
    for name, z in at.items():
        z = _turned(z[some.to(z.device)].double().cpu())
        values = [_likelihood(trial, z, y, part == number) for number in range(folds)]
        found[name] = float(torch.cat(values).mean())
    return found


def _turned(z: Tensor) -> Tensor:
    """Turn features ``(B, D)`` so that no more than ``B`` are not 0; the regression does not see it."""
    if z.shape[1] <= len(z):
        return z
    u, s, _ = torch.linalg.svd(z - z.mean(0), full_matrices=False)
    return u * s


def _likelihood(trial: Trial, z: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """Give the log likelihood of each row that is left out, by a regression on the others."""
    mean, scale = standard(z[~out])
    z = (z - mean) / scale
    model = _fit(trial, _array(z[~out]), y[~out].numpy())
    said = torch.from_numpy(model.predict_proba(_array(z[out])))
    place = torch.from_numpy(numpy.searchsorted(model.classes_, y[out].numpy()))
    return said.gather(1, place[:, None])[:, 0].clamp(min=1e-6).log()


def _fit(trial: Trial, z: NDArray[Any], y: NDArray[Any]) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=trial.settings["C"], class_weight=trial.class_weight, max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence warnings: the scores tell
        return model.fit(z, y)


def _array(z: Tensor) -> NDArray[Any]:
    return z.double().cpu().numpy()
