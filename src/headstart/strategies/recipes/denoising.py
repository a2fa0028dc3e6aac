"""Features that fill in what a domain's rows leave unsaid: marginalised stacked denoising autoencoders.

Words of the target that the source hardly uses are written in terms of those that both do. It takes rows of
both domains and no label, and has a closed form.

References:
    Chen, Xu, Weinberger & Sha (ICML 2012), sections 3 and 4, https://arxiv.org/abs/1206.4683
"""

from __future__ import annotations

import warnings
from functools import partial

import numpy
import torch
from torch import Tensor, nn

from ...datasets.shots import drawn
from ...models import Net, freeze
from ...models.backbones.plain import Raw
from ...models.heads.denoised import Denoised
from ...tasks.arrays import lit
from ...tasks.nouns import take
from .. import needs
from ..strategy import Strategy
from ..trial import Trained, Trial
from .align import BARE
from .constant import prior
from .plain import COUNTS, LOGISTIC, Learner, Rows
from .pooled import of_sources
from .shallow import MOST, Matrix

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

    Of counts, tables of which nine tenths are 0, it is taken what is there and what is not, as the paper does;
    other columns are standardised.

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


def denoise(trial: Trial, learner: Learner) -> Trained:
    """Fit a learner on the sources' rows and their denoised form; the target's rows take the same way."""
    kind, bare = trial.target.kind, trial.target.unlabelled
    assert bare is not None  # `needs` asked for it
    generator = trial.generator("rows of both domains")
    source = drawn(kind, of_sources(trial), MOST, generator)
    at = torch.randperm(len(bare), generator=generator)[:MOST].sort().values
    rows = take(bare.x, at) if bare.held else bare.take(at).x
    if trial.problem.comes_pretrained():
        net = trial.pretrained()
        freeze(net.backbone)
        z, other = (trial.starts.features(net, x, trial.target.name).cpu() for x in (source.x, rows))
        backbone: nn.Module = net.backbone
    else:
        assert isinstance(source.x, Tensor)
        assert isinstance(rows, Tensor)
        backbone = Raw(tuple(rows.shape[1:])).eval()
        z, other = (backbone(lit(x).cpu()) for x in (source.x, rows))
    first = denoised(torch.cat([z, other]).float(), float(trial.settings["noise"]))
    y = kind.numbers(source.y).cpu().numpy() if kind.exclusive else source.y.double().cpu().numpy()
    with torch.no_grad():
        made = first(z.float()).double().numpy()
    if kind.exclusive and len(numpy.unique(y)) < 2:
        head: nn.Module = prior(kind, torch.from_numpy(y), first.width)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence: the scores tell
            head = learner.fit(trial, Rows(backbone, made, y, None))  # type: ignore[arg-type]
    return Trained(
        Net(backbone, {trial.target.name: nn.Sequential(first, head)}).to(trial.problem.on), {}
    )


DENOISED = Strategy(
    name="msda+logreg",
    run=partial(denoise, learner=LOGISTIC),
    summary="logistic regression on rows and what is missing in them, written by what is there",
    options=[{"noise": 0.9, "C": 0.01}, {"noise": 0.7, "C": 0.01}, {"noise": 0.9, "C": 0.1}],
    needs=needs.shallow,
    learns="unlabelled",
    reused=BARE,
    frozen="backbone",
    paper="[Chen et al. 2012](https://arxiv.org/abs/1206.4683)",
)
