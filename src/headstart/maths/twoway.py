r"""How sure means and differences over seeds and rows together are.

A table ``D[way, seed, row]`` holds what each test row counts towards a way's score at a seed, so that its
mean over a seed's rows is that seed's score (``influence`` makes one of any measure). Both the seeds and
the rows are samples, and another run would draw both anew: the error of a mean or of a paired difference has
a part of each.

Shapes: ``W`` ways, ``k`` seeds, ``n`` rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import wrong
from .statistics import NORMAL

Numbers = NDArray[np.float64]
DRAWS = 10_000
SEED = 0  # of the normal draws, so that another program finds the same limits


@dataclass(frozen=True, eq=False)
class TwoWay:
    """Hold the means of ways and the covariances of their errors, by where they come from.

    Args:
        means: ``(W,)``.
        by_seed: ``(W, W)`` covariances of the seeds' part of the means.
        by_row: those of the rows' part.
        rest: those of what is left.
        seeds: ``k``.
        rows: ``n``.
    """

    means: Numbers
    by_seed: Numbers
    by_row: Numbers
    rest: Numbers
    seeds: int
    rows: int

    @property
    def covariance(self) -> Numbers:
        """Return the covariances ``(W, W)`` of the means.

        The seeds' part has one variance and one covariance for all ways: few seeds do not tell more.
        """
        count = len(self.means)
        own = np.diag(self.by_seed).mean()
        shared = (self.by_seed.sum() - count * own) / max(1, count * (count - 1))
        whole = np.full((count, count), shared) + (own - shared) * np.eye(count) + self.by_row - self.rest
        values, vectors = np.linalg.eigh(whole)
        covariance: Numbers = (vectors * values.clip(1e-8 * max(values.max(), 1e-12))) @ vectors.T
        return covariance


@dataclass(frozen=True, eq=False)
class Differences:
    """Hold paired differences of ways to one of them, ``(W,)`` each.

    Args:
        estimate: the difference of the means.
        error: its standard error.
        freedom: its degrees of freedom.
    """

    estimate: Numbers
    error: Numbers
    freedom: Numbers


def two_way(table: Numbers) -> TwoWay:
    r"""Split the variances of a table into a part of the seeds, a part of the rows and the rest.

    .. math:: \hat\Sigma_e = \frac{\sum_{sr} D D^\top - kn\, m m^\top
              - n(k-1)\hat\Sigma_a - k(n-1)\hat\Sigma_b}{(k-1)(n-1)}

    with the covariances :math:`\hat\Sigma_a` of the seeds' means and :math:`\hat\Sigma_b` of the rows' means.

    Args:
        table: ``D``, ``(W, k, n)``, finite.

    Raises:
        ValueError: if there are fewer than two seeds or rows.

    Example:
        >>> table = np.arange(12.0).reshape(1, 3, 4)  # additive: nothing is left
        >>> found = two_way(table)
        >>> found.means.tolist(), bool(abs(found.rest[0, 0]) < 1e-9)
        ([5.5], True)

    References:
        Searle, Casella & McCulloch (1992), Variance components, chapter 4.
        Owen (AOAS 2007), The pigeonhole bootstrap, https://doi.org/10.1214/07-AOAS122
    """
    ways, seeds, rows = table.shape
    if seeds < 2 or rows < 2:
        raise wrong("`table`", expected="at least two seeds and two rows", found=f"{seeds} and {rows}")
    level = table.mean((1, 2))
    centred = table - level[:, None, None]  # before it is squared: large means lose no digits
    of_seeds, of_rows = np.atleast_2d(np.cov(centred.mean(2))), np.atleast_2d(np.cov(centred.mean(1)))
    flat = centred.reshape(ways, -1)
    left = flat @ flat.T - rows * (seeds - 1) * of_seeds - seeds * (rows - 1) * of_rows
    rest = left / ((seeds - 1) * (rows - 1))
    return TwoWay(level, of_seeds / seeds, of_rows / rows, rest / (seeds * rows), seeds, rows)


def differences(found: TwoWay, ways: Sequence[int], base: int | None) -> Differences:
    r"""Give paired differences to ``base``; to 0, for the means themselves, where it is None.

    The variance is that of the seeds plus that of the rows less the rest, never below either of the
    two, and never 0. The seeds' part of each way is averaged with the mean over the ways: with three to
    five seeds this keeps the error rate. The degrees of freedom are Satterthwaite's.

    References:
        Satterthwaite (1946), Biometrics Bulletin 2, https://doi.org/10.2307/3002019
    """
    at, k, n = np.asarray(ways, dtype=int), found.seeds, found.rows

    def variance(part: Numbers) -> Numbers:
        own = part[at, at] if base is None else part[at, at] + part[base, base] - 2 * part[at, base]
        clipped: Numbers = own.clip(0)
        return clipped

    seed, row, rest = variance(found.by_seed), variance(found.by_row), variance(found.rest)
    if base is not None:
        seed = (seed + seed.mean()) / 2
    freedom = (1 if base is None else 2) * (k - 1)
    whole = np.maximum(seed + row - rest, np.maximum(seed, row)).clip(
        1 / (k * n**2)
    )  # one row gone the other way
    parts = seed**2 / freedom + row**2 / (n - 1) + rest**2 / (freedom * (n - 1))
    degrees = np.maximum(whole**2 / np.maximum(parts, 1e-300), freedom).clip(max=1e6)
    lower = 0.0 if base is None else found.means[base]
    return Differences(found.means[at] - lower, np.sqrt(whole), degrees)


def drawn_errors(found: TwoWay, ways: Sequence[int], base: int) -> Numbers:
    """Draw the errors ``(draws, ways)`` of the differences together, each with variance 1."""
    at, whole = np.asarray(ways, dtype=int), found.covariance
    joint = whole[np.ix_(at, at)] + whole[base, base] - whole[at, base][:, None] - whole[at, base][None]
    drawn = _draw(joint)
    spread = drawn.std(0)
    scaled: Numbers = drawn / np.where(spread > 0, spread, 1)
    return scaled


def _draw(covariance: Numbers) -> Numbers:
    values, vectors = np.linalg.eigh(covariance)
    drawn: Numbers = _normal(DRAWS, len(covariance)) @ (vectors * np.sqrt(values.clip(0))).T
    return drawn


@lru_cache(maxsize=4)
def _normal(draws: int, ways: int) -> Numbers:
    normal = np.random.default_rng(SEED).standard_normal((draws, ways))
    normal.setflags(write=False)
    return normal


def as_normal(t: Numbers, freedom: Numbers) -> Numbers:
    """Turn t values into normal ones of the same one-sided level."""
    from scipy.special import ndtri, stdtr

    z: Numbers = np.clip(-np.sign(t) * ndtri(np.maximum(stdtr(freedom, -np.abs(t)), 1e-300)), -30, 30)
    return z


def one_sided(level: float) -> float:
    """Give the normal value that is exceeded with a chance of ``level``."""
    from scipy.special import ndtri

    return float(-ndtri(level))


def limits(z: Numbers, drawn: Numbers, level: float) -> Numbers:
    """Give each difference the limit that its normal value is held against (step-down max-t).

    The chance that any difference which is 0 in truth is above its limit is at most ``level``. Those above
    are taken away and the others held against the limit of those that are left, again and again. No limit
    is below the one of a single two-sided interval of 95 %.

    Args:
        z: normal values, as ``as_normal`` gives them.
        drawn: errors ``(draws, len(z))``.
        level: one-sided.

    References:
        Westfall & Young (1993), Resampling-based multiple testing; Romano & Wolf (JASA 2005),
        https://doi.org/10.1198/016214504000000539
    """
    found, left = np.full(len(z), np.inf), np.ones(len(z), bool)
    while left.any():
        found[left] = max(NORMAL, float(np.quantile(drawn[:, left].max(1), 1 - level)))
        if not (left & (z > found)).any():
            break
        left &= z <= found
    return found


def widths(found: Differences, limit: Numbers | float = NORMAL) -> Numbers:
    """Give half the widths of intervals whose ends are ``limit`` normal errors away."""
    from scipy.special import ndtr, stdtrit

    half: Numbers = stdtrit(found.freedom, ndtr(limit)) * found.error
    return half


def possible_bests(found: TwoWay, level: float) -> tuple[NDArray[np.bool_], Numbers]:
    """Find the ways that no other beats, and the chance of each to be the best.

    The chances are those of the true means given what was measured, where these are spread around a common
    one. Without that, the highest of many near equals would be the best too often.

    Args:
        found: of all ways; higher is better.
        level: the chance that the best one is missing.

    Returns:
        which ways may be the best ``(W,)``, at least one; and chances ``(W,)`` that sum to 1.

    Example:
        >>> g = np.random.default_rng(1)
        >>> table = (g.random((3, 5, 200)) < np.array([0.5, 0.52, 0.9])[:, None, None]).astype(float)
        >>> possible_bests(two_way(table), 0.05)[0].tolist()
        [False, False, True]

    References:
        Hsu (1984), Annals of Statistics 12, https://doi.org/10.1214/aos/1176346732
    """
    count = len(found.means)
    if count == 1:
        return np.ones(1, bool), np.ones(1)
    errors, keep, degrees = np.ascontiguousarray(_draw(found.covariance).T), np.ones(count, bool), []
    for way in range(count):
        others = [other for other in range(count) if other != way]
        over = differences(found, others, way)
        gap = errors[others] - errors[way]
        spread = np.sqrt((gap**2).mean(1, keepdims=True))
        limit = np.quantile((gap / np.where(spread > 0, spread, 1)).max(0), 1 - level)
        keep[way] = not (as_normal(over.estimate / over.error, over.freedom) > limit).any()
        degrees.append(np.median(over.freedom))
    keep[found.means.argmax()] = True
    tops = _true_means(found, float(np.median(degrees))).argmax(1)
    return keep, np.bincount(tops, minlength=count) / DRAWS


def _true_means(found: TwoWay, freedom: float) -> Numbers:
    r"""Draw true means ``(draws, W)`` given the measured ones, up to what all have in common.

    Each direction of the centred means is normal around what ``shrunken`` keeps of it, with variance
    :math:`\tau^2 \lambda / (\tau^2 + \lambda)`; :math:`\tau` is drawn by its likelihood.
    """
    spread, g = _spread(found.means, found.covariance), np.random.default_rng(SEED + 1)
    grid, likelihood = spread.grid[1:], spread.likelihood[1:]  # not 0: some way is the best
    likely = np.exp(likelihood - likelihood.max())
    chosen = g.choice(grid, size=(DRAWS, 1), p=likely / likely.sum())
    error = spread.errors * freedom / g.chisquare(freedom, (DRAWS, 1))
    kept = chosen / (chosen + error)
    drawn: Numbers = kept * spread.apart + np.sqrt(kept * error) * g.standard_normal((DRAWS, len(error.T)))
    return drawn @ spread.directions.T


def shrunken(found: TwoWay, ways: Sequence[int]) -> Numbers:
    r"""Pull the means of some ways together, as far as their errors explain that they differ.

    The means of many ways are too far apart, and the highest is too high. With the variance
    :math:`\tau^2` of the true means at its likeliest value, each direction of the centred means is shrunk
    by :math:`\tau^2 / (\tau^2 + \lambda)`, where :math:`\lambda` is its error.

    Returns:
        ``(len(ways),)``.

    References:
        Efron & Morris (JASA 1975), https://doi.org/10.1080/01621459.1975.10479864
    """
    at = np.asarray(ways, dtype=int)
    means = found.means[at]
    if len(at) < 2:
        return means
    spread = _spread(means, found.covariance[np.ix_(at, at)])
    likeliest = spread.grid[int(spread.likelihood.argmax())]
    kept: Numbers = means.mean() + spread.directions @ (
        likeliest / (likeliest + spread.errors) * spread.apart
    )
    return kept


@dataclass(frozen=True, eq=False)
class _Spread:
    """Hold how far apart means are, ``D`` directions in which their errors are independent of each other.

    Args:
        directions: ``(W, D)``, orthonormal; the common mean is not among them.
        apart: the means along each, ``(D,)``.
        errors: variances of their errors, ``(D,)``.
        grid: variances that the true means may have.
        likelihood: the logarithm of each one's.
    """

    directions: Numbers
    apart: Numbers
    errors: Numbers
    grid: Numbers
    likelihood: Numbers


def _spread(means: Numbers, covariance: Numbers) -> _Spread:
    centre = np.eye(len(means)) - 1 / len(means)
    errors, vectors = np.linalg.eigh(centre @ covariance @ centre)
    real = errors > 1e-9 * errors.max()
    errors, vectors = errors[real], vectors[:, real]
    apart = vectors.T @ (centre @ means)
    widest = 2 * max(float(np.abs(means - means.mean()).max()), 1e-12)
    grid = np.linspace(0, widest, 81) ** 2
    whole = errors + grid[:, None]
    likelihood = -(np.log(whole) + apart**2 / whole).sum(1) / 2
    return _Spread(vectors, apart, errors, grid, likelihood)
