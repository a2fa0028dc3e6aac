r"""Measures of what is said: accuracy, balanced accuracy, F1.

Shapes: ``R`` reweightings, ``n`` rows, ``C`` classes. Weights are ``w (R, n)``, values ``(R,)``.
"""

from __future__ import annotations

from torch import Tensor

from .measures import macro, sums


def accuracy(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of rows whose likeliest class is right; ``p (n, C)``, ``t (n,)``."""
    return w @ (p.argmax(1) == t).to(w) / w.sum(1)


def balanced_accuracy(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of right rows in a class, averaged over the classes that occur; ``p (n, C)``, ``t (n,)``."""
    return _recall(p.argmax(1), t, w, p.shape[1])


def classes_f1(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """F1 averaged over the classes that occur or are said; ``p (n, C)``, ``t (n,)``."""
    said, count = p.argmax(1), p.shape[1]
    both = sums(w * (said == t), t, count)
    return macro(2 * both, sums(w, said, count) + sums(w, t, count))


def binary_accuracy(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of rows whose likelier class is right; probabilities ``p (n,)``, ``t (n,)``."""
    return w @ ((p > 0.5).long() == t).to(w) / w.sum(1)


def binary_balanced_accuracy(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """As ``balanced_accuracy``; probabilities ``p (n,)``, ``t (n,)``."""
    return _recall((p > 0.5).long(), t, w, 2)


def binary_f1(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    r""":math:`2 TP / (2 TP + FP + FN)` of the positive class; probabilities ``p (n,)``, ``t (n,)``."""
    said, is_ = (p > 0.5).to(w), t.to(w)
    return 2 * (w @ (said * is_)) / (w @ said + w @ is_)


def labels_f1(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """F1 averaged over the labels that occur; probabilities ``p (n, C)``, ``t (n, C)`` with -100."""
    known = t >= 0
    said, is_ = ((p > 0.5) & known).to(w), ((t == 1) & known).to(w)
    return macro(2 * (w @ (said * is_)), w @ said + w @ is_)


def _recall(said: Tensor, t: Tensor, w: Tensor, count: int) -> Tensor:
    return macro(sums(w * (said == t), t, count), sums(w, t, count))
