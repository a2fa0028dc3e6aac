"""What kind of shift there is between two domains.

Shapes: ``N`` source rows, ``M`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import wrong
from ..maths import gaussian, random, squared_distances
from ..maths.discrepancy import BANDWIDTHS, median_distance
from ._check import classes, labelled
from ._distance import a_distance
from ._labelshift import bbse
from .rows import some, two, unseen

TINY = 1e-12
MOST = 600  # rows of a side
DRAWS = 199  # of sides at random
LEVEL = 0.05
EXPLAINED = 0.6  # of the discrepancy, by other shares of the classes
NEAR = 5  # the neighbour that says how many rows there are around a row
RARE = 0.05  # of the source's rows, which have the furthest such neighbours
OUTSIDE = 0.1  # of the target's rows, from which on its classes have moved
SHARES = 0.1  # that a class has more or less, at least, for shares to have shifted

Kind = Literal["none", "label", "covariate", "conditional"]

ADVICE: dict[Kind, str] = {
    "none": "take the source as it is: nothing tells the domains apart",
    "label": "correct the shares of the classes (`bbse`); aligning features does harm here",
    "covariate": "weigh the source's rows (`iw+logreg`), or take the source as it is; alignment may help",
    "conditional": "align features (`coral+logreg`, `mmd`), or label some rows: the classes have moved",
}


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Say how two domains differ.

    Args:
        kind: ``"none"``, ``"label"`` (classes come in other shares), ``"covariate"`` (the target's rows are
            found in the source, in other numbers) or ``"conditional"`` (they are not: classes have moved).
        p_value: of the discrepancy, where the domains were one, in (0, 1].
        a_distance: the proxy A-distance, about 0 to 2.
        mmd: the squared discrepancy less what chance gives, about 0 to 2.
        class_ratio: times that each class is as common in the target, ``(K,)``, by ``bbse``.
        explained: part of the discrepancy that goes away when the source's classes are so weighed.
        outside: part of the target's rows where the source has hardly any, less what chance gives.

    Example:
        >>> Diagnosis("label", 0.01, 0.3, 0.1, torch.tensor([0.2, 1.8]), 0.95, 0.0).advice[:29]
        'correct the shares of the cla'
    """

    kind: Kind
    p_value: float
    a_distance: float
    mmd: float
    class_ratio: Tensor
    explained: float
    outside: float

    @property
    def advice(self) -> str:
        """Say what to try first, and what not."""
        return ADVICE[self.kind]


def kind_of_shift(source: Tensor, labels: Tensor, target: Tensor) -> Diagnosis:
    r"""Tell which kind of shift there is between a labelled domain and one without labels, before training.

    Three questions, in order. Can the domains be told apart (a permutation test of the discrepancy at 5 %)?
    Do three fifths of the discrepancy go away when the source's classes are weighed by ``bbse``? Then classes
    come in other shares. Are more than a tenth of the target's rows, beyond what chance has, where the source
    has hardly any (further from their fifth nearest source row than 95 % of the source's rows)? Then
    classes have moved. Else the same rows come in other numbers.

    Without a label of the target nobody can see whether equal rows have other classes there; such a shift
    is taken for one of the other kinds, or for none.

    Args:
        source: features, at least 10 rows; at most 600 of each side are looked at.
        labels: their classes, each at least twice; rows with -100 are left out.
        target: features, at least 10 rows.

    Shape:
        ``source (N, D)``, ``labels (N,)`` int64, ``target (M, D)``.

    Raises:
        ValueError: if a side has too few rows, widths differ, a feature is not finite, or there is one
            class alone.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> y = torch.arange(200) % 2
        >>> x = torch.randn(200, 2, generator=g) + 4 * y[:, None]
        >>> few = torch.randn(200, 2, generator=g) + 4 * (torch.arange(200) % 8 == 0)[:, None]
        >>> kind_of_shift(x, y, few).kind
        'label'

    References:
        Quiñonero-Candela et al. (2009), chapter 1, https://mitpress.mit.edu/9780262545877;
        Lipton, Wang & Smola (ICML 2018), https://arxiv.org/abs/1802.03916
    """
    source, y = labelled(source, labels, "source")
    number = classes(y)
    if int(number.max()) < 1 or int(number.bincount().min()) < 2:
        found = f"{number.bincount().tolist()} rows of the classes"
        raise wrong("`labels`", expected="two classes, each at least twice", found=found)
    source, target = two(source, target)
    kept = some(source, MOST, "kind of shift")
    source, number, target = source[kept], number[kept], target[some(target, MOST, "kind of shift, target")]
    scale = _spread(source, target)
    source, target = source / scale, target / scale
    kernel, one = _kernel(source, target), torch.zeros(len(source) + len(target)).to(source)
    one[: len(source)] = 1
    before = float(_less_chance(kernel, one, 1 - one))
    p_value = _permuted(kernel, one, before)
    ratio = _class_ratio(source, number, target)
    weighed = torch.cat([ratio[number], torch.zeros(len(target)).to(source)])
    explained = 1 - max(0.0, float(_less_chance(kernel, weighed, 1 - one))) / max(before, TINY)
    outside = _outside(source, target)
    moved = float(((ratio - 1) * torch.bincount(number) / len(number)).abs().max())
    if p_value > LEVEL:
        kind: Kind = "none"
    elif explained > EXPLAINED and moved > SHARES:
        kind = "label"
    else:
        kind = "conditional" if outside > OUTSIDE else "covariate"
    return Diagnosis(kind, p_value, a_distance(source, target), before, ratio, explained, outside)


def _spread(source: Tensor, target: Tensor) -> Tensor:
    """Give the spread of each column in the source, or of both sides where the source has one value."""
    own, together = source.std(0), torch.cat([source, target]).std(0)
    spread = torch.where(own > TINY, own, together)
    return torch.where(spread > TINY, spread, 1.0)


def _kernel(source: Tensor, target: Tensor) -> Tensor:
    distances = squared_distances(torch.cat([source, target]))
    median = median_distance(distances)
    return gaussian(distances, [median * m for m in BANDWIDTHS]).fill_diagonal_(0)


def _less_chance(kernel: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Give the discrepancy without the rows' own terms: about 0 where the domains are one.

    Args:
        kernel: of all rows, 0 on the diagonal.
        one: weights of the rows of one side, 0 for the others, ``(N + M,)``, or ``(N + M, *)`` for several.
        other: those of the other side.
    """
    here, there = kernel @ one, kernel @ other
    within = (one * here).sum(0) / _pairs(one) + (other * there).sum(0) / _pairs(other)
    return within - 2 * (one * there).sum(0) / (one.sum(0) * other.sum(0))


def _pairs(weights: Tensor) -> Tensor:
    """Sum the products of the weights of different rows."""
    return weights.sum(0).square() - weights.square().sum(0)


def _permuted(kernel: Tensor, one: Tensor, before: float) -> float:
    """Tell how often sides at random are as far apart."""
    draws = random.generator("sides at random", 0)
    orders = [one[torch.randperm(len(one), generator=draws)] for _ in range(DRAWS)]
    drawn = torch.stack(orders, 1)
    return (1 + int((_less_chance(kernel, drawn, 1 - drawn) >= before).sum())) / (1 + DRAWS)


def _class_ratio(source: Tensor, number: Tensor, target: Tensor) -> Tensor:
    """Estimate how many times as common each class is in the target, by a logistic regression."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = source.mean(0), source.std()
    x, new = (((side - mean) / spread).numpy() for side in (source, target))
    model = LogisticRegression(max_iter=200).fit(x, number.numpy())
    own = torch.from_numpy(unseen(source.numpy(), number.numpy()))
    return bbse(own, number, torch.from_numpy(model.predict_proba(new)))


def _outside(source: Tensor, target: Tensor) -> float:
    """Give the part of the target's rows that lie where the source has hardly any, less chance's."""
    near = min(NEAR, len(source) - 1)
    own = squared_distances(source).kthvalue(near + 1, dim=1).values  # each is its own nearest
    apart = squared_distances(target, source).kthvalue(near, dim=1).values
    return float((apart > own.quantile(1 - RARE)).double().mean()) - RARE
