"""How many times as common rows are in the target, without a classifier between the sides.

Shapes: ``N`` source rows, ``M`` target rows, ``D`` features, ``L`` centres.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import wrong
from ..maths import random, squared_distances
from ._labelshift import STEPS, likeliest
from .rows import some, two

CENTRES = 100  # target rows that kernels stand on, at most
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0)  # times the median distance between centres
FOLDS = 5
MOST = 1000  # rows of a side, where a width is chosen
ROUGH = 100  # steps there
TINY = 1e-300


def kliep(source: Tensor, target: Tensor, width: float | None = None) -> Tensor:
    r"""Tell how many times as common rows like each source row are in the target, ``(N,)`` float64.

    The weights, a sum of Gaussians on target rows, under which the weighed source is nearest to the target by
    the Kullback-Leibler divergence:

    .. math:: w(x) = \sum_l \alpha_l\, e^{-\lVert x - c_l \rVert^2 / 2 \sigma^2}, \qquad
        \max_{\alpha \ge 0} \sum_j \ln w(x_{t,j}) \quad \text{where} \quad \frac1N \sum_i w(x_{s,i}) = 1

    No density is estimated. Far from all target rows a weight is 0; where the sides are that far, all are 1.
    Of few columns it is more precise than ``density_ratio``; distances in many columns say little.

    Args:
        source: features, at least 10 rows.
        target: features, at least 10 rows.
        width: :math:`\sigma`, above 0; ``None`` takes that of five that makes left-out target rows likeliest.

    Shape:
        ``source (N, D)``, ``target (M, D)``; returns ``(N,)``, of mean 1.

    Raises:
        ValueError: if a side has too few rows, widths differ, a feature is not finite, or ``width`` is not
            above 0.

    Differs from the paper:
        the problem is that of the likeliest shares of a mixture, so it is solved by expectation and
        maximisation, which needs no step size, in place of projected gradients.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> source = torch.randn(200, 1, generator=g)
        >>> weights = kliep(source, source[:100] * 0.5 + 1)
        >>> bool(weights[source[:, 0] > 0.5].mean() > 2), bool(weights[source[:, 0] < -1].max() < 0.1)
        (True, True)

    References:
        Sugiyama, Suzuki, Nakajima, Kashima, von Bünau & Kawanabe (Annals of the Institute of Statistical
        Mathematics 2008), equations 9 to 11, https://doi.org/10.1007/s10463-008-0197-x
    """
    source, target = two(source, target)
    if width is not None and not 0 < width < float("inf"):
        raise wrong("`width`", expected="above 0 and finite", found=width)
    centres = target[some(target, CENTRES, "centres of kernels")]
    near, far = squared_distances(target, centres), squared_distances(source, centres)
    if width is None:
        few, other = near[some(near, MOST, "rows of a width")], far[some(far, MOST, "rows of a width")]
        between = squared_distances(centres, centres)
        median = between[between > 0].median().sqrt() if bool((between > 0).any()) else torch.tensor(1.0)
        widths = [share * float(median) for share in WIDTHS]
        width = max(widths, key=lambda one: _left_out(few, other, one))
    there = _kernel(far, width)
    weights = there @ _weights(_kernel(near, width), there)
    return weights if bool(weights.any()) else torch.ones_like(weights)


def _kernel(squares: Tensor, width: float) -> Tensor:
    return torch.exp(-squares / (2 * width**2))


def _weights(near: Tensor, there: Tensor, steps: int = STEPS) -> Tensor:
    """Give each kernel's weight, of kernels at target rows ``(M, L)`` and source rows ``(N, L)``."""
    mean = there.mean(0)  # (L,)
    reached = mean > TINY  # a kernel that no source row is near to could have any weight
    weights = torch.zeros_like(mean)
    if bool(reached.any()):
        shares = likeliest(near[:, reached] / mean[reached], torch.ones_like(mean[reached]), steps)
        weights[reached] = shares / shares.sum() / mean[reached]
    return weights


def _left_out(near: Tensor, far: Tensor, width: float) -> float:
    """Score a width by the mean logarithm of the weights of target rows that were left out, by fifths."""
    near, there = _kernel(near, width), _kernel(far, width)
    order = torch.randperm(len(near), generator=random.generator("folds of a width", 0))
    folds = [order[k::FOLDS] for k in range(FOLDS)]
    total = 0.0
    for k, held in enumerate(folds):
        rest = torch.cat(folds[:k] + folds[k + 1 :])
        total += float((near[held] @ _weights(near[rest], there, ROUGH)).clamp(min=TINY).log().sum())
    return total
