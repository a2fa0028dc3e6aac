"""Which of several sources a target is like.

Shapes: ``N`` source rows, ``M`` target rows, ``D`` features, ``K`` sources.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from ..errors import wrong
from ._labelshift import likeliest
from .rows import two


def mixture(source: Tensor, group: Tensor, target: Tensor) -> Tensor:
    r"""Estimate the shares of several sources in the mixture of them that the target is most like.

    .. math:: p_T(x) \approx \sum_k w_k\, p_k(x), \qquad w \ge 0, \quad \sum_k w_k = 1

    A logistic regression tells the sources apart; the likeliest shares under its probabilities of the
    target's rows are found by expectation and maximisation, as in ``em_priors``. A target that is like no
    source gets shares all the same: those of the nearest.

    Args:
        source: features of the sources' rows, at least 10.
        group: which source each row is of, from 0 on; each of them has a row.
        target: features, at least 10 rows; labels are not asked for.

    Shape:
        ``source (N, D)``, ``group (N,)`` int64, ``target (M, D)``; returns ``(K,)`` float64.

    Raises:
        ValueError: if a side has too few rows, widths differ, a feature is not finite, or a source has none.

    Example:
        >>> rows = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
        >>> group = torch.arange(60) % 2
        >>> moved = rows + 6.0 * group[:, None]
        >>> mixture(moved, group, torch.cat([rows[:10] + 6.0, rows[10:40]])).round(decimals=1).tolist()
        [0.8, 0.2]

    References:
        on mixtures of sources: Mansour, Mohri & Rostamizadeh (NeurIPS 2008),
        https://papers.nips.cc/paper/2008/hash/0e65972dce68dad4d52d063967f0a705-Abstract.html; on the
        estimate: Saerens, Latinne & Decaestecker (Neural Computation 2002), equation 2.9
    """
    from sklearn.linear_model import LogisticRegression

    source, target = two(source, target)
    many = int(group.max()) + 1 if len(group) else 0
    counts = torch.bincount(group, minlength=many) if len(group) == len(source) else torch.zeros(1)
    if not bool((counts > 0).all()):
        found = f"{len(group)} numbers, and {counts.tolist()} rows of the sources"
        raise wrong("`group`", expected=f"a source for each of {len(source)} rows, none empty", found=found)
    if many == 1:
        return torch.ones(1, dtype=torch.float64)
    mean = source.mean(0)
    scale = (source - mean).square().mean().sqrt().clamp(min=1e-12)
    x, other = (((side - mean) / scale).cpu().numpy() for side in (source, target))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence: rows that are told apart for sure never settle
        told = LogisticRegression(max_iter=200).fit(x, group.cpu().numpy()).predict_proba(other)
    shares = counts.double().cpu() / len(group)
    return shares * likeliest(torch.from_numpy(told), shares)
