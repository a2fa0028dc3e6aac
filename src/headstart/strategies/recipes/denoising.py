"""Features that fill in what a domain's rows leave unsaid: marginalised stacked denoising autoencoders.

Words of the target that the source hardly uses are written in terms of those that both do. It takes rows of
both domains and no label, and has a closed form.

References:
    Chen, Xu, Weinberger & Sha (ICML 2012), sections 3 and 4, https://arxiv.org/abs/1206.4683
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256

import numpy
import torch
from torch import Tensor, nn

from ...datasets.shots import drawn
from ...models import Net
from ...models.fresh import copied
from ...models.heads.denoised import Denoised
from ...tasks import Inputs, Labelled, Task, X
from ...tasks.nouns import take
from .. import needs
from ..strategy import Strategy
from ..trial import Trained, Trial
from .align import BARE, DANN_STRATEGY, MMD_STRATEGY
from .constant import prior
from .plain import COUNTS, LOGISTIC, Learner, Rows
from .pooled import of_sources
from .shallow import MOST, Matrix
from .sides import as_features

KEPT = 1000  # columns that are denoised: the commonest
LAYERS = 2
JITTER = 1e-5  # of the mean of the diagonal


def layer(h: Matrix, noise: float, out: numpy.ndarray) -> Matrix:
    r"""Write some columns in terms of all of which each is missing with a probability, ``(K, D + 1)``.

    The least squares over all ways in which columns may be missing: with :math:`S = [h, 1]^\top [h, 1]` and
    :math:`q` the probability that a column is there (1 for the constant), :math:`W = P Q^{-1}`,

    .. math:: Q_{ij} = S_{ij} q_i q_j \; (i \ne j), \quad Q_{ii} = S_{ii} q_i, \quad P_{ij} = S_{ij} q_j

    Args:
        h: rows ``(N, D)``.
        noise: the probability that a column is missing, in (0, 1).
        out: numbers of the columns that are written, ``(K,)``.
    """
    from scipy import sparse
    from scipy.linalg import cho_factor, cho_solve

    seen = numpy.flatnonzero(numpy.square(h).sum(0))  # columns without a number say nothing
    x = h[:, seen]
    if (x == 0).mean() > COUNTS:
        thin = sparse.csr_matrix(x)
        products = (thin.T @ thin).toarray()
    else:
        products = x.T @ x
    sums = x.sum(0)
    s = numpy.block([[products, sums[:, None]], [sums[None], numpy.full((1, 1), len(x), x.dtype)]])
    q = numpy.append(numpy.full(len(seen), 1 - noise, x.dtype), x.dtype.type(1))
    among = s * q * q[:, None]
    numpy.fill_diagonal(among, s.diagonal() * q * (1 + JITTER))
    place = numpy.full(h.shape[1], -1)
    place[seen] = numpy.arange(len(seen))
    asked = place[out]
    solved = cho_solve(cho_factor(among, lower=True, overwrite_a=True), (s[asked] * q).T, overwrite_b=True)
    made = numpy.zeros((len(out), h.shape[1] + 1), x.dtype)
    made[:, numpy.append(seen, h.shape[1])] = solved.T
    made[asked < 0] = 0
    return made


def denoised(x: Tensor, noise: float, layers: int = LAYERS, kept: int = KEPT) -> Denoised:
    """Learn the layers from rows of both domains.

    Of counts, tables of which nine tenths are 0, it is taken what is there and what is not, as the paper
    does; other columns are standardised.

    Args:
        x: rows of both, ``(N, D)``.
        noise: the probability that a number is missing, in (0, 1).
        layers: how many.
        kept: columns that the first layer writes, those with the largest squares; at most ``D``.
    """
    counts = bool((x == 0).double().mean() > COUNTS)
    made = Denoised(x.shape[1], min(kept, x.shape[1]), layers, counts)
    if not counts:
        spread = x.std(0, correction=0)
        made.mean.copy_(x.mean(0))
        made.spread.copy_(torch.where(spread > 1e-6 * x.mean(0).abs(), spread, 1.0))
    h = made.standardised(x).numpy()
    out = numpy.argsort(-numpy.square(h).sum(0), kind="stable")[: made.first.shape[0]]
    for weights in (made.first, *made.rest):
        weights.copy_(torch.from_numpy(layer(h, noise, out)))
        h = numpy.tanh(h @ weights[:, :-1].numpy().T + weights[:, -1].numpy())
        out = numpy.arange(h.shape[1])
    return made


def learned(x: Tensor, noise: float) -> Denoised:
    """Learn the layers, or give those that were learned of the very same rows before."""
    key = sha256(x.contiguous().numpy().tobytes()).hexdigest(), noise
    if key not in _KNOWN:
        while len(_KNOWN) > 1:
            _KNOWN.pop(next(iter(_KNOWN)))
        _KNOWN[key] = denoised(x, noise)
    return copied(_KNOWN[key])


_KNOWN: dict[tuple[str, float], Denoised] = {}  # settings and seeds share rows: it is the dearest part


def bare_rows(trial: Trial) -> X:
    """Take the target's bare rows, at most ``MOST`` of them."""
    bare = trial.target.unlabelled
    assert bare is not None  # `needs` asked for it
    at = torch.arange(len(bare))
    if len(at) > MOST:
        at = torch.randperm(len(at), generator=trial.generator("bare rows"))[:MOST].sort().values
    return take(bare.x, at) if bare.held else bare.take(at).x


def denoise(trial: Trial, learner: Learner, first: Denoised | None = None) -> Trained:
    """Fit a learner on the sources' rows and their denoised form; the target's rows take the same way.

    Args:
        trial: of a target with bare rows and sources with its classes.
        learner: of scikit-learn.
        first: layers that were learned before; learned of the rows of both domains without it.
    """
    kind = trial.target.kind
    source = drawn(kind, of_sources(trial), MOST, trial.generator("rows of the sources"))
    backbone, (z, other) = as_features(trial, source.x, bare_rows(trial))
    first = first or learned(torch.cat([z, other]), float(trial.settings["noise"]))
    y = kind.numbers(source.y).cpu().numpy()
    if len(numpy.unique(y)) < 2:
        head: nn.Module = prior(kind, torch.from_numpy(y), first.width)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence: the scores tell
            head = learner.fit(trial, Rows(backbone, first(z).double().numpy(), y, None))  # type: ignore[arg-type]
    return Trained(Net(backbone, {trial.target.name: nn.Sequential(first, head)}).to(trial.problem.on), {})


def of_both(trial: Trial) -> Denoised:
    """Learn the layers of the rows of both domains, which takes no label."""
    _, rows = as_features(trial, of_sources(trial).x, bare_rows(trial))
    return learned(torch.cat(rows), float(trial.settings["noise"]))


def then(trial: Trial, run: Callable[[Trial], Trained], first: Denoised | None = None) -> Trained:
    """Run a deep way on denoised rows; what was learned for these becomes part of the net's head."""
    target, source = trial.target, of_sources(trial)
    backbone, (z, other) = as_features(trial, source.x, bare_rows(trial))
    first = copied(first) if first is not None else of_both(trial)
    z, other = first(z), first(other)
    own = Labelled(z[:0], source.y[:0])
    posed = trial.problem.with_rows(
        targets=[replace(target, train=own, unlabelled=Inputs(other), test=own, valid=None)],
        sources=[Task("denoised", target.kind, Labelled(z, source.y.cpu()))],
    )
    trained = run(replace(trial, problem=posed))
    chain = trained.net.backbone.chain()[1:]  # type: ignore[operator]
    layers = nn.Sequential(first, *chain, trained.net.heads[target.name])
    net = Net(backbone, {target.name: layers}).to(trial.problem.on)
    return replace(trained, net=net)


CHEN = "[Chen et al. 2012](https://arxiv.org/abs/1206.4683)"
DENOISED: tuple[Strategy, ...] = (
    Strategy(
        name="msda+logreg",
        run=partial(denoise, learner=LOGISTIC),
        summary="logistic regression on rows, and on what they leave unsaid",
        options=[{"noise": 0.7, "C": 0.01}, {"noise": 0.7, "C": 0.1}, {"noise": 0.9, "C": 0.01}],
        needs=needs.shallow,
        learns="unlabelled",
        reused=BARE,
        frozen="backbone",
        paper=CHEN,
    ),
    *(
        Strategy(
            name=f"msda+{deep.name}",
            run=partial(then, run=deep.run),
            summary=f"as {deep.name}, on rows and on what they leave unsaid",
            options=[{"weight": weight, "noise": 0.7} for weight in (0.3, 0.1, 1.0)],
            needs=needs.perceptron,
            learns="unlabelled",
            reused=BARE,
            paper=CHEN,
            aligns=True,
        )
        for deep in (MMD_STRATEGY, DANN_STRATEGY)
    ),
)
