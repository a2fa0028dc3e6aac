"""Ways to bring the features of two domains together without training a net, each a strategy.

References:
    CORAL: Sun, Feng & Saenko (AAAI 2016), algorithm 1, https://arxiv.org/abs/1511.05547
    Subspace alignment: Fernando et al. (ICCV 2013), algorithm 1, https://doi.org/10.1109/ICCV.2013.368
    TCA: Pan et al. (IEEE TNN 2011), section III, https://doi.org/10.1109/TNN.2010.2091281
    Optimal transport: Courty et al. (IEEE TPAMI 2017), equation 13, https://arxiv.org/abs/1507.00504
    Importance weighting: Bickel, Brückner & Scheffer (ICML 2007), https://doi.org/10.1145/1273496.1273507
    KLIEP: Sugiyama et al. (AISM 2008), https://doi.org/10.1007/s10463-008-0197-x
    Mixtures of sources: Mansour, Mohri & Rostamizadeh (NeurIPS 2008)
    BBSE: Lipton, Wang & Smola (ICML 2018), https://arxiv.org/abs/1802.03916
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from ...maths.discrepancy import TINY
from ...measure import bbse, density_ratio, kliep, mixture
from ...measure.rows import some, unseen
from ...models import freeze
from ...models.heads import Vectors
from ...tasks import Labelled
from .. import needs
from ..situation import Situation
from ..strategy import Setting, Strategy, rates
from ..trial import Trained, Trial
from .align import BARE
from .plain import LOGISTIC, NEIGHBOURS, RIDGE, Learner, Rows, by_planes, layer, planes
from .shallow import COLUMNS, MOST, Align, Aligned, Matrix, Sides, adapt, answer, both, fit

PAIRED = 1000  # rows of a side, where all pairs are compared
RARE = 1e-3  # times that a class is as common in the target, at least


def spread(z: Matrix) -> tuple[Matrix, Matrix]:
    """Give the eigenvalues above 0 of the covariance of centred rows, highest first, and its eigenvectors.

    The smaller of the products of rows and of columns is decomposed.
    """
    z, count = z - z.mean(0), max(1, len(z) - 1)
    if z.shape[0] >= z.shape[1]:
        values, vectors = numpy.linalg.eigh(z.T @ z / count)
    else:
        values, vectors = numpy.linalg.eigh(z @ z.T / count)
        vectors = z.T @ vectors / numpy.sqrt(numpy.maximum(values, TINY) * count)
    kept = numpy.flatnonzero(values > 1e-9 * max(values.max(), TINY))[::-1]
    return values[kept], vectors[:, kept]


def coral(trial: Trial, sides: Sides) -> Aligned:
    r"""Whiten the source and colour it like the target: :math:`S (C_S + r I)^{-1/2} (C_T + r I)^{1/2}`.

    The paper's ridge of 1 is for features of variance 1 and more rows than features; a large one leaves the
    source as it is.
    """
    z, ridge = sides.source, float(trial.settings["ridge"])
    for side, power in ((sides.source, -0.5), (sides.target, 0.5)):
        values, vectors = spread(side)
        z = ridge**power * z + (z @ vectors * ((values + ridge) ** power - ridge**power)) @ vectors.T
    return Aligned(z)


def subspace(trial: Trial, sides: Sides) -> Aligned:
    """Turn the source's main directions into the target's."""
    one, other = spread(sides.source)[1], spread(sides.target)[1]
    dims = min(int(trial.settings["dims"]), one.shape[1], other.shape[1])
    one, other = one[:, :dims], other[:, :dims]
    return Aligned(sides.source @ one @ (one.T @ other), map=linear_map(other))


def components(trial: Trial, sides: Sides) -> Aligned:
    r"""Find directions of a Gaussian kernel along which the means agree and rows still vary.

    The first solutions of :math:`K H K w = \lambda (K L K + \mu I) w`, with :math:`\mu = 1`.
    """
    from scipy.linalg import eigh

    rows = numpy.concatenate([sides.source, sides.target])
    count, gamma = len(rows), 1 / rows.shape[1]
    squares = numpy.square(rows).sum(1)
    kernel = numpy.exp(-gamma * numpy.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0))
    sign = numpy.repeat(
        [1 / len(sides.source), -1 / len(sides.target)], [len(sides.source), len(sides.target)]
    )
    means, centred = kernel @ sign, kernel - kernel.mean(0)
    dims = min(int(trial.settings["dims"]), count)
    among = [count - dims, count - 1]
    _, w = eigh(kernel @ centred, numpy.outer(means, means) + numpy.eye(count), subset_by_index=among)
    head = Vectors(count, rows.shape[1], dims)
    head.rows.copy_(torch.from_numpy(rows))
    head.gamma.fill_(gamma)
    head.coefficients.copy_(torch.from_numpy(w.T.copy()))
    return Aligned(kernel[: len(sides.source)] @ w, map=head)


def as_it_is(trial: Trial, sides: Sides) -> Aligned:
    """Take the source's features as they are."""
    return Aligned(sides.source)


def transport(trial: Trial, sides: Sides) -> Aligned:
    """Move each source row to the mean of the target rows that it is carried to at least cost."""
    import ot

    cost = ot.dist(sides.source, sides.target)
    cost /= max(float(numpy.median(cost)), TINY)
    plan = ot.sinkhorn([], [], cost, trial.settings["reg"], numItermax=500, warn=False)
    return Aligned(plan @ sides.target / numpy.maximum(plan.sum(1, keepdims=True), TINY))


def importance(trial: Trial, sides: Sides) -> Aligned:
    """Weigh each source row by how common rows like it are in the target."""
    ratio = density_ratio(torch.from_numpy(sides.source), torch.from_numpy(sides.target)).numpy()
    return Aligned(sides.source, ratio / ratio.mean())


def nearest(trial: Trial, sides: Sides) -> Aligned:
    """Weigh source rows so that they are distributed like the target's, by a sum of Gaussians."""
    weights = kliep(torch.from_numpy(sides.source), torch.from_numpy(sides.target))
    return Aligned(sides.source, weights.numpy())


def mixed(trial: Trial, sides: Sides) -> Aligned:
    """Weigh each source as a whole by its share in the mixture of sources that the target is most like."""
    group = sides.group
    own = torch.from_numpy(sides.source[: len(group)])  # held-out rows may stand behind them
    shares = mixture(own, group, torch.from_numpy(sides.target))
    names = [source.name for source in trial.problem.shared() if source.train.held]
    told = {"shares": dict(zip(names, shares.tolist(), strict=True))}
    weights = (shares / torch.bincount(group) * len(group))[group]
    return Aligned(sides.source, weights.numpy(), told=told)


def linear_map(directions: Matrix) -> nn.Linear:
    """Project features ``(*, D)`` on directions ``(D, d)``."""
    made = layer(torch.from_numpy(directions.T.copy()), torch.zeros(directions.shape[1]))
    freeze(made)
    return made


def label_shift(trial: Trial) -> Trained:
    """Fit a logistic regression on the source, and correct its answers for the target's shares of classes."""
    sides = both(trial, MOST, apart=False)
    kind, many = trial.target.kind, len(trial.target.kind.classes)
    head = fit(trial, LOGISTIC, sides, Aligned(sides.source))
    if len(numpy.unique(sides.y)) < many or numpy.bincount(sides.y).min() < 2:
        return answer(trial, sides, head)  # no shares of classes that are not known
    own = torch.from_numpy(unseen(sides.source, sides.y))
    with torch.no_grad():
        found = kind.probabilities(head(torch.from_numpy(sides.target).float()))
    assert found is not None  # `needs` asked for classes
    ratio = bbse(own, torch.from_numpy(sides.y), found).clamp(min=RARE).log()
    more = ratio[1:] - ratio[:1] if kind.outputs == 1 else ratio
    assert isinstance(head, nn.Linear)  # a logistic regression of several classes
    corrected = copy.deepcopy(head)
    with torch.no_grad():
        corrected.bias.add_(more)

    def of_source(held: Labelled) -> tuple[Tensor, Tensor]:
        """Answer rows of the source as they were before: its shares are not the target's."""
        held = held.take(some(held.y, MOST // 4, "rows asked about"))
        with torch.no_grad():
            return head(torch.from_numpy(sides.own(held.x)).float()), held.y.cpu()

    return replace(answer(trial, sides, corrected), of_source=of_source)


# The strategies.


def _linear(trial: Trial, rows: Rows) -> nn.Module:
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=float(trial.settings["C"]), random_state=trial.seed, max_iter=2000)
    return planes(model.fit(rows.z, rows.y, sample_weight=rows.weights), trial.target.kind)


LINEAR = Learner(_linear, by_planes, moved=False)
LEARNERS: dict[str, tuple[Learner, str, Sequence[float], str]] = {
    "logreg": (LOGISTIC, "C", (1.0, 0.1, 10.0), "logistic regression"),
    "svm": (LINEAR, "C", (0.01, 0.1, 1.0), "linear SVM"),
    "knn": (NEIGHBOURS, "k", (1, 5, 15), "the nearest row"),
    "ridge": (RIDGE, "alpha", (10.0, 1.0, 100.0), "ridge regression"),
}


def strategy(
    name: str,
    align: Align,
    told: str,
    paper: str,
    *,
    own: Mapping[str, Sequence[float]] | None = None,
    strength: float | None = None,
    needs: Callable[[Situation], str] = needs.shallow,
    aligns: bool = True,
    **how: Any,
) -> Strategy:
    """Make a strategy of a way to align and the learner that its name ends in.

    Args:
        name: of the strategy.
        align: brings features together.
        told: what the learner is fitted on, for the summary.
        paper: a link.
        own: the setting of the method, and what to choose from; without one it is the learner's own.
        strength: the learner's ``C``, where it is another than usual.
        needs: of the situation.
        aligns: as of ``Strategy``.
        how: ``most`` and ``apart`` of ``adapt``.
    """
    learner, its, values, words = LEARNERS[name.rpartition("+")[2]]
    options: list[dict[str, Setting]] = [{its: value, "scale": COLUMNS} for value in values]
    first = values[0] if strength is None or its != "C" else strength
    for setting, several in (own or {}).items():
        options = [{setting: value, its: first, "scale": COLUMNS} for value in several]
    return Strategy(
        name=name,
        run=partial(adapt, align=align, learner=learner, **how),
        summary=f"{words} on {told}",
        options=options,
        needs=needs,
        learns="unlabelled",
        reused=BARE,
        frozen="backbone",
        paper=paper,
        aligns=aligns,
    )


SUN = "[Sun et al. 2016](https://arxiv.org/abs/1511.05547)"
FERNANDO = "[Fernando et al. 2013](https://doi.org/10.1109/ICCV.2013.368)"
RIDGES = {"ridge": (1.0, 10.0, 100.0)}
PAN = "[Pan et al. 2011](https://doi.org/10.1109/TNN.2010.2091281)"
DIMS = {"dims": (50, 20, 100)}
SMOOTH = (
    0.01  # a direction that the target hardly shares is shrunk in the source: no weight may make up for it
)
COURTY = "[Courty et al. 2017](https://arxiv.org/abs/1507.00504)"
SUGIYAMA = "[Sugiyama et al. 2008](https://doi.org/10.1007/s10463-008-0197-x)"
BICKEL = "[Bickel et al. 2007](https://doi.org/10.1145/1273496.1273507)"
REGS = {"reg": (0.1, 0.03, 0.3)}
COLOURED, TURNED, AGREEING, CARRIED, WEIGHED = (
    "source features with the target's covariance",
    "the source's main directions turned to the target's",
    "directions along which the domains' means agree",
    "source rows carried to target rows",
    "source rows weighed by how common they are in the target",
)
MANSOUR = (
    "[Mansour et al. 2008]"
    "(https://papers.nips.cc/paper/2008/hash/0e65972dce68dad4d52d063967f0a705-Abstract.html)"
)
PORTIONS = "several sources, each weighed by its share in the mixture that the target is most like"

SHALLOW: tuple[Strategy, ...] = (
    strategy("coral+logreg", coral, COLOURED, SUN, own=RIDGES),
    strategy("coral+svm", coral, COLOURED, SUN, own=RIDGES),
    strategy("coral+knn", coral, COLOURED, SUN, own=RIDGES),
    strategy("sa+logreg", subspace, TURNED, FERNANDO, own=DIMS, strength=SMOOTH),
    strategy("sa+svm", subspace, TURNED, FERNANDO, own=DIMS, strength=SMOOTH / 10),
    strategy("sa+knn", subspace, TURNED, FERNANDO, own=DIMS),
    strategy("tca+logreg", components, AGREEING, PAN, own=DIMS, most=PAIRED),
    strategy("tca+knn", components, AGREEING, PAN, own=DIMS, most=PAIRED),
    strategy(
        "source+knn",
        as_it_is,
        "the source, each side by its own scale",
        "[Cover & Hart 1967](https://doi.org/10.1109/TIT.1967.1053964)",
        aligns=False,
    ),
    strategy(
        "ot+logreg",
        transport,
        CARRIED,
        COURTY,
        own=REGS,
        needs=needs.transported,
        most=PAIRED,
    ),
    strategy(
        "iw+logreg",
        importance,
        WEIGHED,
        BICKEL,
        aligns=False,
        apart=False,
    ),
    strategy(
        "kliep+logreg",
        nearest,
        WEIGHED,
        SUGIYAMA,
        aligns=False,
        apart=False,
    ),
    strategy(
        "mixture+logreg",
        mixed,
        PORTIONS,
        MANSOUR,
        needs=needs.several_shallow,
        aligns=False,
        apart=False,
    ),
    strategy("coral+ridge", coral, COLOURED, SUN, own=RIDGES, needs=needs.shallow_numbers),
    strategy("sa+ridge", subspace, TURNED, FERNANDO, own=DIMS, needs=needs.shallow_numbers),
    strategy("tca+ridge", components, AGREEING, PAN, own=DIMS, needs=needs.shallow_numbers, most=PAIRED),
    strategy(
        "ot+ridge",
        transport,
        CARRIED,
        COURTY,
        own=REGS,
        needs=needs.transported_numbers,
        most=PAIRED,
    ),
    strategy("iw+ridge", importance, WEIGHED, BICKEL, needs=needs.shallow_numbers, aligns=False, apart=False),
    strategy(
        "kliep+ridge", nearest, WEIGHED, SUGIYAMA, needs=needs.shallow_numbers, aligns=False, apart=False
    ),
    strategy(
        "mixture+ridge",
        mixed,
        PORTIONS,
        MANSOUR,
        needs=needs.several_numbers,
        aligns=False,
        apart=False,
    ),
    Strategy(
        name="bbse",
        run=label_shift,
        summary="logistic regression on the source, corrected for other shares of the classes",
        options=rates(1.0, 0.1, 10.0, name="C"),
        needs=needs.shallow,
        learns="unlabelled",
        reused=BARE,
        frozen="backbone",
        paper="[Lipton et al. 2018](https://arxiv.org/abs/1802.03916)",
    ),
)
