"""How sure a mean, a difference or a rate is: 95 % intervals of plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from ..errors import wrong

NORMAL = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def interval(values: Sequence[float]) -> tuple[float, float]:
    r"""Give the 95 % interval of a mean over runs.

    .. math:: \bar x \pm t_{n-1,\,0.975}\, s / \sqrt n

    Args:
        values: one number per run (seed, split), finite.

    Returns:
        low and high; both NaN below two values, both the mean where all values are equal.

    Example:
        >>> [round(v, 3) for v in interval([1.0, 2.0, 3.0])]
        [-0.484, 4.484]

    References:
        Student (1908), The probable error of a mean, https://doi.org/10.2307/2331554
    """
    if len(values) < 2:
        return math.nan, math.nan
    mean, spread = fmean(values), stdev(values)
    if spread == 0:
        return mean, mean
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, 0.975)) * spread / math.sqrt(len(values))
    return mean - half, mean + half


def paired_interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    r"""Give the 95 % interval of the mean difference ``a - b`` over the same runs.

    Pairing removes what both share (an easy split, a lucky initialisation), so it tells differences
    apart that two separate intervals do not.

    Args:
        a: one number per run.
        b: the numbers of the same runs, in the same order.

    Returns:
        low and high of :math:`\overline{a - b}`; both NaN below two pairs.

    Raises:
        ValueError: if the lengths differ.

    Example:
        >>> low, high = paired_interval([0.82, 0.72, 0.93], [0.79, 0.70, 0.91])
        >>> low > 0
        True

    References:
        Student (1908), The probable error of a mean, https://doi.org/10.2307/2331554
    """
    if len(a) != len(b):
        raise wrong("`b`", expected=f"as many runs as `a` ({len(a)})", found=len(b))
    return interval([x - y for x, y in zip(a, b, strict=True)])


def interquartile_mean(values: Sequence[float]) -> float:
    """Average the middle half of some values: a quarter is left out at each end, rounded down.

    It moves less with single runs than the mean, and is more telling than the median.

    Args:
        values: at least one.

    Example:
        >>> interquartile_mean([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0])
        3.5

    References:
        Agarwal et al. (NeurIPS 2021), section 4.2, https://arxiv.org/abs/2108.13264
    """
    cut = len(values) // 4
    return fmean(sorted(values)[cut : len(values) - cut])


def stratified(
    groups: Sequence[Sequence[float]], statistic: Callable[[Sequence[float]], float], draws: int = 2000
) -> tuple[float, float]:
    """Give the 95 % interval of a statistic of all groups' values, each group drawn anew from itself.

    Args:
        groups: the runs of each task.
        statistic: of the values of all groups together.
        draws: how often.

    Example:
        >>> stratified([[1.0, 1.0], [3.0, 3.0]], fmean)
        (2.0, 2.0)

    References:
        Agarwal et al. (NeurIPS 2021), section 4.1, https://arxiv.org/abs/2108.13264
    """
    import numpy as np

    rng, each = np.random.default_rng(0), [np.asarray(group, dtype=float) for group in groups]
    found = [
        statistic(np.concatenate([rng.choice(group, len(group)) for group in each]).tolist())
        for _ in range(draws)
    ]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def wilson(successes: float, n: int) -> tuple[float, float]:
    r"""Give the 95 % interval of a rate, such as an accuracy over ``n`` rows.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Unlike :math:`p \pm z \sqrt{p(1-p)/n}` it is right near 0 and 1 and never leaves [0, 1].

    Args:
        successes: how many rows were right, in [0, n].
        n: how many rows there were.

    Returns:
        low and high, in [0, 1]; both NaN where ``n`` is 0.

    Raises:
        ValueError: if ``successes`` is not in [0, n].

    Example:
        >>> [round(v, 3) for v in wilson(9, 10)]
        [0.596, 0.982]

    References:
        Wilson (1927), Probable inference, https://doi.org/10.1080/01621459.1927.10502953
    """
    if not 0 <= successes <= n:
        raise wrong("`successes`", expected=f"in [0, {n}]", found=successes)
    if n == 0:
        return math.nan, math.nan
    p, z2 = successes / n, NORMAL**2
    middle = p + z2 / (2 * n)
    half = NORMAL * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z2 / n)), min(1.0, (middle + half) / (1 + z2 / n))
