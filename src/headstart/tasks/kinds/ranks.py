r"""Measures of the order: area under the ROC curve, average precision, rank correlation.

Rows of equal score stand at one place: no order among them is made up.

Shapes: ``R`` reweightings, ``n`` rows, ``C`` classes, ``O`` outputs. Weights are ``w (R, n)``, values
``(R,)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from .measures import macro, sums

Part = tuple[Tensor, Tensor, Tensor]  # scores, which rows are positive, weights
Curve = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def auroc(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    r"""Chance that a positive row scores above a negative one, ties counting half; ``p``, ``t (n,)``.

    References:
        Hanley & McNeil (Radiology 1982), https://doi.org/10.1148/radiology.143.1.7063747
    """
    return macro(*_stacked(_pairs, [(p, t == 1, w)], w))


def average_precision(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    r"""Precision down to a positive row, averaged over the positive rows; ``p``, ``t (n,)``.

    .. math:: AP = \sum_i w_i y_i \frac{\sum_j w_j y_j [p_j \ge p_i]}{\sum_j w_j [p_j \ge p_i]} \Big/
        \sum_i w_i y_i
    """
    return macro(*_stacked(_precisions, [(p, t == 1, w)], w))


def classes_auroc(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Area under the ROC curve of each class against the rest, averaged over those that occur.

    Logits ``p (n, C)``, ``t (n,)``. With two classes it is that of either.
    """
    classes = t.unique().tolist()
    if p.shape[1] == 2:
        classes = classes[:1]
    return macro(*_stacked(_pairs, _against_the_rest(p, t, w, classes), w))


def classes_average_precision(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Average precision: of two classes of the rarer in ``t`` (the last where they tie), else macro.

    Logits ``p (n, C)``, ``t (n,)``; the mean is over the classes that occur, each against the rest.
    """
    rarer = int(2 * (t == 1).sum() <= len(t))
    classes = [rarer] if p.shape[1] == 2 else t.unique().tolist()
    return macro(*_stacked(_precisions, _against_the_rest(p, t, w, classes), w))


def labels_auroc(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Area under the ROC curve averaged over the labels that have one; ``p``, ``t (n, C)`` with -100."""
    return macro(*_stacked(_pairs, _known(p, t, w), w))


def labels_average_precision(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Average precision averaged over the labels that occur; ``p``, ``t (n, C)`` with -100."""
    return macro(*_stacked(_precisions, _known(p, t, w), w))


def spearman(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Correlation of the ranks, averaged over outputs; ``p``, ``t (n,)`` or ``(n, O)``, NaN where missing.

    Rows that tie share the middle of their ranks.

    References:
        Spearman (1904), The proof and measurement of association, https://doi.org/10.2307/1412159
    """
    columns = zip(p.reshape(len(p), -1).T, t.reshape(len(t), -1).T, strict=True)
    return torch.stack([_correlation(a, b, w) for a, b in columns if not b.isnan().all()]).mean(0)


def _correlation(a: Tensor, b: Tensor, w: Tensor) -> Tensor:
    there = ~b.isnan()
    if not there.all():
        a, b, w = a[there], b[there], w[:, there]
    a, b = _standing(a, w), _standing(b, w)
    return (w * a * b).sum(1) / ((w * a * a).sum(1) * (w * b * b).sum(1)).sqrt()


# One class, or label, at a time: (R, n) weights are held, never (R, n, C).


def _against_the_rest(p: Tensor, t: Tensor, w: Tensor, classes: list[int]) -> Iterator[Part]:
    likely = p.to(w).log_softmax(1).T.contiguous()
    for c in classes:
        yield likely[c], t == c, w


def _known(p: Tensor, t: Tensor, w: Tensor) -> Iterator[Part]:
    for c, there in enumerate((t >= 0).T):
        if there.all():
            yield p[:, c], t[:, c] == 1, w
        elif there.any():
            yield p[there, c], t[there, c] == 1, w[:, there]


def _stacked(curve: Curve, parts: Iterable[Part], w: Tensor) -> tuple[Tensor, Tensor]:
    """Give what is averaged, and by what it is divided, for each class: both ``(R, C)``."""
    each = [curve(*part) for part in parts]
    if not each:
        return w.new_zeros(len(w), 1), w.new_zeros(len(w), 1)
    return torch.stack([a for a, _ in each], 1), torch.stack([b for _, b in each], 1)


def _pairs(score: Tensor, positive: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Weigh the pairs of a positive and a negative row that are in order, and all of them; ``(R,)`` each."""
    at, tied, count = _among_positives(score, positive)
    negative = ~positive
    below = sums(w[:, negative], at[negative], count).cumsum(1)  # negatives at or below each positive score
    tied &= negative
    level = below - sums(w[:, tied], at[tied], count) / 2
    w = sums(w[:, positive], at[positive], count)
    return (w * level).sum(1), w.sum(1) * below[:, -1]


def _precisions(score: Tensor, positive: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the precisions at the positive rows, and these rows; ``(R,)`` each."""
    at, _, count = _among_positives(-score, positive)
    said = sums(w, at, count).cumsum(1)
    w = sums(w[:, positive], at[positive], count)
    return (w * w.cumsum(1) / said.where(said > 0, 1.0)).sum(1), w.sum(1)


def _among_positives(score: Tensor, positive: Tensor) -> tuple[Tensor, Tensor, int]:
    """Number each row by the first positive score that is not below its own, of so many, or that number.

    Returns:
        the rows' numbers, which of them have that very score, and how many numbers there are. The
        positive rows alone are sorted: a fraction of the rows where there are many classes.
    """
    distinct = score[positive].unique()
    at = torch.searchsorted(distinct, score.contiguous())
    return at, torch.cat([distinct, distinct.new_full((1,), torch.nan)])[at] == score, len(distinct) + 1


def _standing(score: Tensor, w: Tensor) -> Tensor:
    """Weigh the rows below each row less those above it: twice its rank, centred; ``(R, n)``."""
    order, group, ends = _places(score)
    upto = w[:, order].cumsum(1)[:, ends]
    return (_below(upto) + upto - upto[:, -1:])[:, group[order.argsort()]]


def _places(score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sort scores: the order, the number of each place's group of ties, and each group's last place."""
    ordered, order = score.sort()
    _, group, sizes = ordered.unique_consecutive(return_inverse=True, return_counts=True)
    return order, group, sizes.cumsum(0) - 1


def _below(upto: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(upto[:, :1]), upto[:, :-1]], 1)
