"""Which layer to transfer: features at the block of a frozen backbone that left-out rows choose.

Shapes: ``B`` rows, ``D`` features.

References:
    Yosinski et al. (NeurIPS 2014), https://arxiv.org/abs/1411.1792
    Evci et al. (ICML 2022), https://arxiv.org/abs/2201.03529
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...maths.random import generator
from ...models import AtAllCuts, Net, cut, freeze, widths
from ...models.net import as_backbone
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .left_out import FOLDS, folded, folded_groups, likelihood, regressed, turned

MOST = 300  # rows that choose
TEXTS, WORDS = 100, 1000  # or texts, and words of them
DEEP = 2 / 3  # of the way up: the stated default, where a class has one row
ERRORS = 2  # standard errors that a block has to be behind by


@dataclass(frozen=True, eq=False)
class AtLayer:
    """A pretrained backbone that is cut at the block which left-out rows choose, and frozen.

    Args:
        net: the cut backbone, and a head: a logistic regression on its features.
        features: of the trial's labelled rows there, ``(B, D)``.
        told: the block, and the likelihood at each.
    """

    net: Net
    features: Tensor
    told: Mapping[str, Any]


def at_layer(trial: Trial) -> AtLayer:
    """Choose the block, cut the backbone there, and fit the regression; ``layer_logreg`` says how."""
    net, rows, target = trial.pretrained(), trial.labelled(), trial.target
    kind, some = target.kind, rows
    if not kind.per_row:  # a text has many answers, so those of a few choose
        some = rows.take(torch.randperm(len(rows), generator=trial.generator("texts that choose"))[:TEXTS])
    first, about = rows.take(torch.tensor([0])).x, as_backbone(net.backbone)
    compared = kind.per_row and about is not None and about.compared
    sizes = widths(freeze(net.backbone), first)
    every = Net(freeze(AtAllCuts(net.backbone, list(sizes))), {target.name: kind.placed(nn.Identity())})
    z, y = kind.entries(trial.starts.features(every, some.x, target.name), some.y)
    at = dict(zip(sizes, z.split(list(sizes.values()), 1), strict=True))
    likely = _likelihoods(trial, at, kind.single.numbers(y).cpu())
    layer = _chosen(list(at), likely, compared=compared)
    trunk = freeze(cut(net.backbone, layer, first))
    features = at[layer]
    if not kind.per_row:
        features = trial.features(Net(trunk, {target.name: kind.placed(nn.Identity())}))
    head, penalty = regressed(trial, features)
    means = {name or "all": float(each.mean()) for name, each in likely.items()}
    told = {"layer": layer or "all", "likelihood": means, "C": penalty}
    return AtLayer(Net(trunk, {target.name: head}), features, told)


def layer_logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on frozen features at one block, which this trial's own rows choose.

    One pass over the rows gives the features at all blocks. Rows are left out in turn, at most 300; where
    words of texts have an answer each, 1,000 of 100 texts, of tags that occur five times among them; of many
    classes with few rows five rows of sixty classes. What
    counts is their likelihood, at each block with the temperature that makes it highest, so that it tells how
    right the answers are and not how sure. Of the blocks at which it cannot be told from the highest, by two
    standard errors, the one nearest to two thirds of the way up is taken, and that one itself where a class
    has one row alone; but of sentence encoders (``Backbone.compared``) the last one. The backbone that is
    handed over ends there. The penalty is then chosen for the features there, by ``regressed``.

    Differs from the papers:
        one block is taken, not the first ones with their weights to be tuned, nor parts of several.
    """
    found = at_layer(trial)
    return Trained(found.net, {}, found.told)


LAYER_LOGREG = Strategy(
    name="features@layer+logreg",
    run=layer_logreg,
    summary="logistic regression on frozen features at the best block",
    options=rates(10.0, name="C"),
    needs=needs.layers,
    reused="the lower blocks of the pretrained backbone, as a fixed extractor",
    frozen="backbone",
    paper="[Yosinski et al. 2014](https://arxiv.org/abs/1411.1792)",
)


def _default(count: int) -> int:
    """Say which of so many cuts is taken without rows to choose by; the last of them is the whole."""
    return max(0, math.ceil(DEEP * (count - 1)) - 1)


def _chosen(names: Sequence[str], likely: Mapping[str, Tensor], *, compared: bool = False) -> str:
    """Take the cut nearest to the default among those that rows cannot tell from the likeliest.

    Few rows tell neighbours apart by chance, and the first and the last cut are the worst to take so.

    Args:
        names: of the cuts, in their order.
        likely: log likelihood of each row, by cut; empty where nothing chooses.
        compared: whether the last features are made to be compared, and taken where nothing chooses.
    """
    middle = _default(len(names))
    if not likely:
        return names[-1] if compared else names[middle]
    best = max(likely.values(), key=lambda rows: float(rows.mean()))
    behind = {name: best - rows for name, rows in likely.items()}
    near = [n for n, rows in behind.items() if rows.mean() <= ERRORS * rows.std() / len(rows) ** 0.5]
    return min(near, key=lambda name: abs(names.index(name) - middle))


def _of_some_classes(y: Tensor, order: Tensor) -> Tensor:
    """Number rows of as many classes as there is room for, with five of each or more where it has them.

    Of many classes a draw has single rows, by which no block can be told from another.
    """
    counts, own = y.bincount().tolist(), y[order]
    able = [number for number in dict.fromkeys(own.tolist()) if counts[number] > 1]
    each = max(FOLDS, MOST // max(1, len(able)))
    kept = [order[own == number][:each] for number in able[: MOST // each]]
    return torch.cat([order[:0], *kept])


def _likelihoods(trial: Trial, at: Mapping[str, Tensor], y: Tensor) -> dict[str, Tensor]:
    """Give the log likelihood of each row left out, by cut; nothing where no two classes have two rows."""
    draws = generator("layer", trial.seed)
    some = torch.randperm(len(y), generator=draws)
    if trial.target.kind.per_row:
        drawn = some[:MOST]
        some = drawn if folded(y[drawn]) is not None else _of_some_classes(y, some)
    else:
        some = some[:WORDS]
        often = y[some].bincount() >= FOLDS
        some = some[often[y[some]]]
    y, group = y[some], trial.labelled().group
    if trial.target.kind.per_row and group is not None:
        part = folded_groups(y, group[some.to(group.device)])
    else:
        part = folded(y)
    if part is None:
        return {}
    return {
        name: likelihood(trial, turned(z[some.to(z.device)].double().cpu()), y, part)
        for name, z in at.items()
    }
