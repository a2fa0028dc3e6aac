"""How common each class is in a domain without labels.

Shapes: ``N`` source rows, ``M`` target rows, ``K`` classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import wrong
from .rows import probabilities_of

TINY = 1e-12
STEPS = 1000


def bbse(source: Tensor, labels: Tensor, target: Tensor) -> Tensor:
    r"""Estimate how many times as common each class is in the target, from a classifier's confusions.

    Under label shift, where :math:`p(x \mid y)` stays, a classifier's answers to the target are those to the
    source's classes, mixed in other shares:

    .. math:: \hat C w = \hat\mu, \qquad \hat C_{kl} = \frac1N \sum_{i: y_i = l} [\hat y_i = k], \qquad
        \hat\mu_k = \frac1M \sum_j [\hat y_j = k]

    Args:
        source: class probabilities of source rows that the classifier was not trained on.
        labels: their classes; rows with -100 are left out. Each class occurs.
        target: class probabilities of the target's rows.

    Shape:
        ``source (N, K)``, ``labels (N,)`` int64, ``target (M, K)``; returns ``(K,)`` float64.

    Returns:
        the ratio :math:`p_\text{target}(y) / p_\text{source}(y)` of each class, at least 0; its mean over the
        source's rows is 1.

    Raises:
        ValueError: if shapes do not match, a row is no probability, or a class has no row.

    Differs from the paper:
        the system is solved by least squares, ratios below 0 are set to 0, and all are scaled to mean 1.

    Example:
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> bbse(torch.eye(2)[labels], labels, torch.eye(2)[[0, 1, 1, 1]]).tolist()
        [0.5, 1.5]

    References:
        Lipton, Wang & Smola (ICML 2018), proposition 2, https://arxiv.org/abs/1802.03916
    """
    source, y, target = _told(source, labels, target)
    many = source.shape[1]
    member = F.one_hot(y, many).double()
    confusions = F.one_hot(source.argmax(1), many).double().T @ member / len(y)
    answers = F.one_hot(target.argmax(1), many).double().mean(0)
    ratio = torch.linalg.lstsq(confusions, answers[:, None], driver="gelsd").solution[:, 0].clamp(min=0)
    mean = float(ratio @ member.mean(0))
    return ratio / mean if mean > TINY else torch.ones_like(ratio)


def em_priors(source: Tensor, labels: Tensor, target: Tensor) -> Tensor:
    r"""Estimate how many times as common each class is in the target, by expectation and maximisation.

    The likeliest shares of the classes, given the classifier's probabilities of the target's rows:

    .. math:: w_k \leftarrow \frac{1}{\pi_k M} \sum_j \frac{w_k\, p_{jk}}{\sum_l w_l\, p_{jl}}

    with :math:`\pi` the shares in the source. It uses how sure the classifier is, so it is more precise than
    ``bbse`` where its probabilities are right, and wrong where they are not.

    Args:
        source: class probabilities of source rows; none of their values is used.
        labels: their classes; rows with -100 are left out. Each class occurs.
        target: class probabilities of the target's rows.

    Shape:
        ``source (N, K)``, ``labels (N,)`` int64, ``target (M, K)``; returns ``(K,)`` float64.

    Returns:
        the ratio :math:`p_\text{target}(y) / p_\text{source}(y)` of each class, at least 0; its mean over the
        source's rows is 1.

    Raises:
        ValueError: if shapes do not match, a row is no probability, or a class has no row.

    Example:
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> em_priors(torch.eye(2)[labels], labels, torch.eye(2)[[0, 1, 1, 1]]).tolist()
        [0.5, 1.5]

    References:
        Saerens, Latinne & Decaestecker (Neural Computation 2002), equation 2.9,
        https://doi.org/10.1162/089976602753284446
    """
    source, y, target = _told(source, labels, target)
    return likeliest(target, F.one_hot(y, source.shape[1]).double().mean(0))


def likeliest(p: Tensor, shares: Tensor, steps: int = STEPS) -> Tensor:
    """Give the ratios of ``em_priors``, from probabilities ``(M, K)`` and shares in the source ``(K,)``."""
    ratio = torch.ones_like(shares)
    for _ in range(steps):
        after = p * ratio
        new = (after / after.sum(1, keepdim=True).clamp(min=TINY)).mean(0) / shares
        settled = bool((new - ratio).abs().max() < 1e-9)
        ratio = new
        if settled:
            break
    return ratio


def _told(source: Tensor, labels: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Check what both take, and leave out rows without a label."""
    source, target = probabilities_of(source, "source"), probabilities_of(target, "target")
    if source.shape[1] != target.shape[1] or labels.shape != (len(source),) or labels.is_floating_point():
        found = f"{tuple(source.shape)}, {tuple(labels.shape)} and {tuple(target.shape)}"
        raise wrong(
            "`source`, `labels`, `target`", expected="(N, K), class numbers (N,) and (M, K)", found=found
        )
    there = labels != -100
    source, y = source[there], labels[there]
    counts = torch.bincount(y, minlength=source.shape[1])
    if len(counts) > source.shape[1] or not bool((counts > 0).all()):
        found = f"{counts.tolist()} rows of the classes"
        raise wrong("`labels`", expected=f"of all {source.shape[1]} classes", found=found)
    return source, y, target
