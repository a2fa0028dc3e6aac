"""How far apart two domains are.

Shapes: ``N`` source rows, ``M`` target rows, ``D`` features.
"""

from __future__ import annotations

from torch import Tensor

from ..maths import discrepancy
from .rows import sides_of, some, two, unseen

MOST = 2000  # rows of a side that a distance looks at


def a_distance(source: Tensor, target: Tensor) -> float:
    r"""Measure how well a linear classifier tells two domains apart: the proxy A-distance.

    .. math:: \hat d_A = 2 (1 - 2 \epsilon)

    with :math:`\epsilon` the mean of the error rates on both sides, of logistic regressions on rows that
    they have not seen, in five folds. At most 2000 rows of each side are looked at.

    Args:
        source: features, at least 10 rows.
        target: features, at least 10 rows.

    Shape:
        ``source (N, D)``, ``target (M, D)``.

    Returns:
        0 where they cannot be told apart (a little below by chance), 2 where every row is told.

    Raises:
        ValueError: if a side has too few rows, widths differ, or a feature is not finite.

    Differs from the paper:
        logistic regression in place of a linear support vector machine, and each side counts alike.

    Example:
        >>> import torch
        >>> rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        >>> a_distance(rows, rows + 9)
        2.0

    References:
        Ben-David et al. (NeurIPS 2007), section 5, https://papers.nips.cc/paper/2983;
        Ganin et al. (JMLR 2016), section 5.1.4, https://arxiv.org/abs/1505.07818
    """
    source, target = two(source, target)
    source, target = (side[some(side, MOST, "A-distance")] for side in (source, target))
    x, side = sides_of(source, target)
    told = unseen(x, side).argmax(1)
    error = ((told[side == 0] != 0).mean() + (told[side == 1] != 1).mean()) / 2
    return float(2 * (1 - 2 * error))


def mmd(source: Tensor, target: Tensor) -> float:
    r"""Measure the squared maximum mean discrepancy of two domains under five Gaussian kernels.

    The V-statistic of ``domains.MMD``. At most 2000 rows of each side are looked at.

    Args:
        source: features, at least 10 rows.
        target: features, at least 10 rows.

    Shape:
        ``source (N, D)``, ``target (M, D)``.

    Returns:
        in [0, 2]; about :math:`1/N + 1/M` by chance alone.

    Raises:
        ValueError: if a side has too few rows, widths differ, or a feature is not finite.

    Example:
        >>> import torch
        >>> rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        >>> mmd(rows, rows), mmd(rows, rows + 9) > 0.5
        (0.0, True)

    References:
        Gretton et al. (JMLR 2012), equation 5, https://jmlr.org/papers/v13/gretton12a.html
    """
    source, target = two(source, target)
    source, target = (side[some(side, MOST, "MMD")] for side in (source, target))
    return float(discrepancy(source, target))
