"""Logarithm of maximum evidence.

Shapes: ``N`` rows, ``D`` features, ``C`` targets (classes, or numbers per row), ``k = min(N, D)``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import wrong
from ._check import classes, labelled

DECADES = 8  # how far the ratio of the precisions may go from the features' scale
GRID = 321  # how many ratios are tried first
STEPS = 500


def logme(features: Tensor, labels: Tensor) -> float:
    r"""Score pretrained features by the evidence of a Bayesian linear model of the labels on them.

    Each target :math:`y` (one-hot column or regression target) has the likelihood
    :math:`\mathcal N(y \mid F w, \beta^{-1})` and the prior :math:`\mathcal N(w \mid 0, \alpha^{-1})`. The
    evidence integrates ``w`` out, so it does not overfit, and is maximal over :math:`\alpha, \beta`:

    .. math:: \frac1N \max_{\alpha, \beta} \log p(y \mid F, \alpha, \beta), \qquad
        \gamma = \sum_j \frac{\sigma_j^2}{\sigma_j^2 + t}, \quad t = \frac\alpha\beta \leftarrow
        \frac{\gamma}{|m|^2} \cdot \frac{|F m - y|^2}{N - \gamma}

    with the posterior mean ``m``; one singular value decomposition of ``F`` serves all targets, and
    the result is the mean over them. The evidence may have several maxima, so the iteration starts at
    the best ``t`` of a grid. In float64.

    Args:
        features: of the pretrained net on the new rows.
        labels: class numbers (integer), or real targets (float); rows with a missing one are left out.

    Shape:
        ``features (N, D)``; ``labels (N,)`` int64, or ``(N,)`` or ``(N, C)`` float.

    Returns:
        log evidence in nats per row, higher is better; may be positive. Compare it between nets on
        the same rows only.

    Raises:
        ValueError: if shapes do not match, a feature is not finite, or all labels are the same.

    Differs from the paper:
        the iteration starts from the best of a grid (the paper: from :math:`\alpha = \beta = 1`, which
        can end in a lower maximum, and in another one for features of another scale); :math:`\beta`
        is set to its optimum for the ratio ``t``, so the value is the maximum itself, not that of the
        last step; and :math:`t` is kept within :math:`10^{\pm 8}` of the mean squared singular value
        (the official code adds :math:`10^{-5}` instead). With ``N < D`` the ``D - N`` directions without
        data cancel, as they do in the formula. Targets that are 0 in every row are left out of the mean.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> labels = torch.arange(60) % 3
        >>> noise = torch.randn(60, 8, generator=g)
        >>> good = noise + F.one_hot(labels, 8)
        >>> logme(good, labels) > logme(noise, labels)
        True

    References:
        You et al. (ICML 2021), algorithm 1, https://arxiv.org/abs/2102.11005; the fixed point:
        You et al. (JMLR 2022), algorithm 3, https://arxiv.org/abs/2110.10545
    """
    x, y = labelled(features, labels, "features")
    if y.is_floating_point():
        targets = y.double().reshape(len(y), -1)  # (N, C)
        if not targets.isfinite().all():
            raise wrong("`labels`", expected="finite", found="infinity")
    else:
        targets = F.one_hot(classes(y)).double()
    if (targets == targets[0]).all():
        raise wrong("`labels`", expected="at least two that differ", found="one value only")
    u, s, _ = torch.linalg.svd(x, full_matrices=False)
    s2, z2 = s.square()[:, None], (u.T @ targets).square()  # (k, 1), (k, C)
    rest = (targets.square().sum(0) - z2.sum(0)).clamp(min=0)  # (C,), what no weights can explain
    scale = float(s2.mean()) or 1.0
    grid = scale * torch.logspace(-DECADES, DECADES, GRID, dtype=s2.dtype, device=s2.device)
    left = grid[:, None] / (s2.T + grid[:, None])  # (G, k)
    tried = _evidence(left.log().sum(1, keepdim=True), left @ z2 + rest, len(x))  # (G, C)
    t = grid[tried.argmax(0)]
    for _ in range(STEPS):
        gamma = (s2 / (s2 + t)).sum(0)
        length = (s2 * z2 / (s2 + t).square()).sum(0)
        error = (z2 * (t / (s2 + t)).square()).sum(0) + rest
        new = (gamma * error / (length * (len(x) - gamma))).nan_to_num(math.inf, math.inf)
        new = new.clamp(grid[0], grid[-1])
        settled = ((new - t).abs() <= 1e-10 * t).all()
        t = new
        if settled:
            break
    left = t / (s2 + t)  # (k, C)
    evidence = _evidence(left.log().sum(0), (left * z2).sum(0) + rest, len(x))
    return float(torch.maximum(evidence, tried.amax(0))[targets.any(0)].mean())


def _evidence(volume: Tensor, energy: Tensor, count: int) -> Tensor:
    """Give the log evidence per row at the best noise; ``energy`` is ``|Fm - y|^2 + t |m|^2``."""
    return (volume / count + torch.log(count / energy) - 1 - math.log(2 * math.pi)) / 2
