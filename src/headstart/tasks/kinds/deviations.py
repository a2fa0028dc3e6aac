r"""Measures of the numbers themselves: of probabilities and of real numbers.

Shapes: ``R`` reweightings, ``n`` rows, ``C`` classes, ``O`` outputs. Weights are ``w (R, n)``, values
``(R,)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

LEAST = 2.0**-23  # probabilities in a logarithm are clipped here, at the precision of float32


def classes_log_loss(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Cross-entropy in nats per row; logits ``p (n, C)``, ``t (n,)``."""
    return _mean(_nats(p.to(w).log_softmax(1).gather(1, t[:, None])[:, 0]), w)


def classes_brier(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Squared differences of the probabilities to 0 or 1, summed over classes; logits ``p (n, C)``.

    References:
        Brier (1950), https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    likely = p.to(w).softmax(1)
    return _mean(likely.scatter_add(1, t[:, None], -torch.ones_like(likely[:, :1])).square().sum(1), w)


def binary_log_loss(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Cross-entropy in nats per row; probabilities ``p (n,)``, ``t (n,)``."""
    p = p.to(w)
    return _mean(_nats(torch.where(t == 1, p, 1 - p).log()), w)


def binary_brier(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Mean squared difference of the probability to 0 or 1; ``p (n,)``, ``t (n,)``."""
    return _mean((p.to(w) - t).square(), w)


def labels_log_loss(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Cross-entropy in nats per label that is there; probabilities ``p (n, C)``, ``t (n, C)`` with -100."""
    p = p.to(w)
    return _mean_known(_nats(torch.where(t == 1, p, 1 - p).log()), t, w)


def labels_brier(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Mean squared difference of the probabilities to 0 or 1; ``p (n, C)``, ``t (n, C)`` with -100."""
    return _mean_known((p.to(w) - t).square(), t, w)


def r2(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of the targets' variance that is explained, averaged over outputs; ``(n,)`` or ``(n, O)``."""
    return _over_outputs(_explained, p, t, w)


def _explained(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    t, p = t - t.mean(0), p - t.mean(0)
    count = w.sum(1, keepdim=True)
    spread = w @ t.square() - (w @ t).square() / count  # (R, O)
    spread = spread.where(spread > 1e-12 * (w @ t.square()), 0.0)
    return (1 - (w @ (p - t).square()) / spread.where(spread > 0, torch.nan)).mean(1)


def rmse(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Root of the mean squared error, in target units; ``(n,)`` or ``(n, O)``."""
    squared = _over_outputs(lambda p, t, w: _mean((p - t).square().mean(1), w), p, t, w)
    return squared.where(squared != 0, 1.0).sqrt().where(squared != 0, 0.0)  # no slope of a root at 0


def mae(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Mean absolute error, in target units; ``(n,)`` or ``(n, O)``."""
    return _over_outputs(lambda p, t, w: _mean((p - t).abs().mean(1), w), p, t, w)


def _over_outputs(
    measure: Callable[[Tensor, Tensor, Tensor], Tensor], p: Tensor, t: Tensor, w: Tensor
) -> Tensor:
    """Measure all outputs at once; where targets are missing (NaN), each over its own rows, and average."""
    p, t = p.to(w).reshape(len(p), -1), t.to(w).reshape(len(t), -1)
    there = ~t.isnan()
    if there.all():
        return measure(p, t, w)
    own = [(p[at, k, None], t[at, k, None], w[:, at]) for k, at in enumerate(there.T) if at.any()]
    return torch.stack([measure(*part) for part in own]).mean(0)


def _mean(losses: Tensor, w: Tensor) -> Tensor:
    return w @ losses / w.sum(1)


def _mean_known(losses: Tensor, t: Tensor, w: Tensor) -> Tensor:
    known = t >= 0
    return w @ losses.where(known, 0.0).sum(1) / (w @ known.sum(1).to(w))


def _nats(log: Tensor) -> Tensor:
    return -log.clamp(math.log(LEAST), math.log1p(-LEAST))
