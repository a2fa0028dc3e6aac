r"""The measures that kinds are scored by, for many reweightings of the rows at once.

A measure takes predictions and targets as ``kind.scored`` gives them and weights ``(R, n)``, and
returns ``(R,)``: a row of ones gives the metric itself, a row of counts from a draw with
replacement gives it on that bootstrap sample. Where a metric is not defined (area under the ROC
curve with one class) it is NaN.

Shapes: ``R`` reweightings, ``n`` rows, ``C`` classes, ``O`` outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Measure = Callable[[Tensor, Tensor, Tensor], Tensor]


def accuracy(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of rows whose likeliest class is right; ``p (n, C)``, ``t (n,)``."""
    return w @ (p.argmax(1) == t).to(w) / w.sum(1)


def binary_accuracy(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of rows whose likelier class is right; probabilities ``p (n,)``, ``t (n,)``."""
    return w @ ((p > 0.5).long() == t).to(w) / w.sum(1)


def f1(said: Tensor, is_: Tensor, w: Tensor) -> Tensor:
    r""":math:`2 TP / (2 TP + FP + FN)` of masks ``(n,)`` or ``(n, C)``, NaN where a class is nowhere."""
    return 2 * (w @ (said * is_)) / (w @ said + w @ is_)


def binary_f1(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """F1 of the positive class; probabilities ``p (n,)``, ``t (n,)``."""
    return f1((p > 0.5).to(w), t.to(w), w)


def classes_f1(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """F1 averaged over the classes that occur; ``p (n, C)``, ``t (n,)``."""
    one_hot = torch.eye(p.shape[1], dtype=w.dtype, device=w.device)
    return f1(one_hot[p.argmax(1)], one_hot[t], w).nanmean(1)


def labels_f1(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """F1 averaged over the labels that occur; probabilities ``p (n, C)``, ``t (n, C)`` with -100."""
    known = t >= 0
    return f1(((p > 0.5) & known).to(w), ((t == 1) & known).to(w), w).nanmean(1)


def auroc(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Chance that a positive row scores above a negative one, ties counting half; ``p``, ``t (n,)``."""
    _, group, sizes = p.unique(return_inverse=True, return_counts=True)
    order = group.argsort()
    group, w, t = group[order], w[:, order], t[order]
    positive, negative = w * (t == 1), w * (t == 0)
    upto = negative.cumsum(1)[:, sizes.cumsum(0) - 1]  # (R, groups) negatives at or below each score
    below = torch.cat([torch.zeros_like(upto[:, :1]), upto[:, :-1]], 1)
    wins = (positive * ((below + upto) / 2)[:, group]).sum(1)
    return wins / (positive.sum(1) * negative.sum(1))


def labels_auroc(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Area under the ROC curve averaged over the labels that have one; ``p``, ``t (n, C)`` with -100."""
    known = t >= 0
    columns = [auroc(p[k, c], t[k, c], w[:, k]) for c, k in enumerate(known.T) if k.any()]
    return torch.stack(columns).nanmean(0) if columns else w.new_full((len(w),), torch.nan)


def _columns(p: Tensor, t: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    return p.to(w).reshape(len(p), -1), t.to(w).reshape(len(t), -1)


def r2(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of the targets' variance that is explained, averaged over outputs; ``(n,)`` or ``(n, O)``."""
    p, t = _columns(p, t, w)
    t, p = t - t.mean(0), p - t.mean(0)
    count = w.sum(1, keepdim=True)
    spread = w @ t.square() - (w @ t).square() / count  # (R, O)
    spread = spread.where(spread > 1e-12 * (w @ t.square()), 0.0)
    return (1 - (w @ (p - t).square()) / spread.where(spread > 0, torch.nan)).mean(1)


def rmse(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Root of the mean squared error, in target units."""
    p, t = _columns(p, t, w)
    return ((w @ (p - t).square()).mean(1) / w.sum(1)).sqrt()


def mae(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Mean absolute error, in target units."""
    p, t = _columns(p, t, w)
    return (w @ (p - t).abs()).mean(1) / w.sum(1)
