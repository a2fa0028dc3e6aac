"""Which of several adapted nets to trust, without a label of the target. Higher is better for all of them.

Shapes: ``N`` labelled source rows, ``M`` target rows, ``D`` features, ``K`` classes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import wrong
from ._check import labelled
from .rows import probabilities_of, sides_of, some, two, unseen

TINY = 1e-12
MOST = 2000  # rows that are compared in pairs
SOURCE = 3.0  # times that the source's loss counts
SHARPER = torch.logspace(0, -1, 21).tolist()  # temperatures
CAP = 20.0  # times that a row counts, at most


def entropy(p: Tensor) -> Tensor:
    """Give the entropy of probabilities ``(*, K)``, in nats."""
    return torch.special.entr(p).sum(-1)


def source_risk(probabilities: Tensor, labels: Tensor) -> float:
    r"""Judge a net by held-out source rows: minus its cross-entropy there.

    It says nothing of the target, and sees a net that has forgotten what it was to learn.

    Args:
        probabilities: of held-out source rows.
        labels: their classes; rows with -100 are left out.

    Shape:
        ``probabilities (N, K)``, ``labels (N,)`` int64.

    Returns:
        nats per row, at most 0, higher is better.

    Raises:
        ValueError: if shapes do not match or a row is no probability.

    Example:
        >>> round(source_risk(torch.full((4, 2), 0.5), torch.tensor([0, 1, 0, 1])), 4)
        -0.6931

    References:
        Musgrave, Belongie & Lim (2022), section 3, https://arxiv.org/abs/2208.07360
    """
    return float(_losses(probabilities, labels)[0].mean()) * -1.0


def weighted_risk(probabilities: Tensor, labels: Tensor, source: Tensor, target: Tensor) -> float:
    r"""Judge a net by held-out source rows, each counted as often as the target has rows like it.

    .. math:: - \frac{\sum_i w_i \ell_i}{\sum_i w_i}, \qquad
        w_i = \frac{N}{M} \frac{P(\text{target} \mid x_i)}{P(\text{source} \mid x_i)}

    A logistic regression tells source from target; a row counts at most 20 times.

    Args:
        probabilities: of held-out source rows.
        labels: their classes; rows with -100 are left out.
        source: features of the same rows.
        target: features of the target's rows.

    Shape:
        ``probabilities (N, K)``, ``labels (N,)`` int64, ``source (N, D)``, ``target (M, D)``.

    Returns:
        nats per row, at most 0, higher is better. It is right where the target's rows are found in the
        source too and the classes of equal rows are equal.

    Raises:
        ValueError: if shapes do not match, a row is no probability, or a side has under 10 rows.

    Differs from the paper:
        weights are scaled to their sum, and have a largest one.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> x, p, y = torch.randn(40, 2, generator=g), torch.full((40, 2), 0.5), torch.arange(40) % 2
        >>> round(weighted_risk(p, y, x, x + 0.1), 4)
        -0.6931

    References:
        Sugiyama, Krauledat & Müller (JMLR 2007), equation 7, https://jmlr.org/papers/v8/sugiyama07a.html
    """
    losses, there = _losses(probabilities, labels)
    if len(source) != len(labels):
        raise wrong("`source`", expected=f"a row for each label ({len(labels)})", found=len(source))
    weights = density_ratio(source, target)[there]
    return -float((weights * losses).sum() / weights.sum())


def density_ratio(source: Tensor, target: Tensor) -> Tensor:
    r"""Tell how many times as common rows like each source row are in the target, ``(N,)`` float64.

    From logistic regressions between the two sides, each asked about rows that it has not seen.

    .. math:: w_i = \min\!\left(
        \frac{N}{M} \frac{P(\text{target} \mid x_i)}{P(\text{source} \mid x_i)}, 20 \right)

    Args:
        source: features, at least 10 rows.
        target: features, at least 10 rows.

    Shape:
        ``source (N, D)``, ``target (M, D)``; returns ``(N,)``.

    Raises:
        ValueError: if a side has too few rows, widths differ, or a feature is not finite.

    Example:
        >>> rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        >>> bool((density_ratio(rows, rows + 1) > 0).all())
        True

    References:
        Bickel, Brückner & Scheffer (ICML 2007), section 3, https://doi.org/10.1145/1273496.1273507
    """
    source, target = two(source, target)
    of_source = torch.from_numpy(unseen(*sides_of(source, target))[: len(source)])
    return (of_source[:, 1] / of_source[:, 0].clamp(min=TINY) * len(source) / len(target)).clamp(max=CAP)


def _losses(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Give the cross-entropy of each labelled row, and which rows these are."""
    p = probabilities_of(probabilities)
    kept, y = labelled(p, labels, "probabilities")
    if y.is_floating_point() or int(y.max()) >= p.shape[1]:
        raise wrong("`labels`", expected=f"class numbers below {p.shape[1]}", found=float(y.max()))
    return -kept.gather(1, y[:, None])[:, 0].clamp(min=TINY).log(), labels != -100


def certainty(probabilities: Tensor) -> float:
    r"""Judge a net by how sure it is of the target's rows: minus the mean entropy of its answers.

    It is highest for a net that answers one class for every row.

    Args:
        probabilities: of the target's rows.

    Shape:
        ``probabilities (M, K)``.

    Returns:
        nats per row, in :math:`[-\ln K, 0]`, higher is better.

    Raises:
        ValueError: if a row is no probability.

    Example:
        >>> certainty(torch.eye(3)), round(certainty(torch.full((4, 2), 0.5)), 4)
        (0.0, -0.6931)

    References:
        Morerio, Cavazza & Murino (ICLR 2018), section 3, https://arxiv.org/abs/1711.10288
    """
    return -float(entropy(probabilities_of(probabilities)).mean()) + 0.0


def information(probabilities: Tensor) -> float:
    r"""Judge a net by whether it is sure of each of the target's rows, and not of one class only.

    .. math:: H(\bar p) - \overline{H(p)}

    the mutual information between row and answer.

    Args:
        probabilities: of the target's rows.

    Shape:
        ``probabilities (M, K)``.

    Returns:
        nats, in :math:`[0, \ln K]`, higher is better.

    Raises:
        ValueError: if a row is no probability.

    Example:
        >>> round(information(torch.eye(2)), 4), information(torch.full((4, 2), 0.5))
        (0.6931, 0.0)

    References:
        Krause, Perona & Gomes (NeurIPS 2010), equation 1,
        https://papers.nips.cc/paper/4154-discriminative-clustering-by-regularized-information-maximization
    """
    p = probabilities_of(probabilities)
    return float(entropy(p.mean(0)) - entropy(p).mean())


def sound(
    probabilities: Tensor,
    source: Tensor,
    labels: Tensor,
    outside: float = 0.0,
    ratio: Tensor | None = None,
) -> float:
    r"""Judge a net by both domains: right on held-out source rows, sure and varied on the target.

    .. math:: (1 - o) \left(H(\pi) - \mathrm{KL}(\bar q \,\|\, \pi) - \overline{H(q)}\right)_+
        - 3\, \overline{-\ln q_{\text{source}, y}}, \qquad q \propto p^{1/T}

    ``information``, with classes in the source's shares :math:`\pi` in place of equal ones, and three times
    ``source_risk``, in nats. Where classes are as common as one another the first is ``information``; else a
    net whose answers come in other shares loses by it, as it has taken many rows for another class, however
    sure it is. A net that has given up the source to look alike loses by the second term, one that answers
    one class for every row of the target by the first. The second counts more because some methods raise
    the first for its own sake; on the sets of
    ``benchmarks/quality/validators`` factors from 2.5 to 4 chose about equally well, 1 did not.

    Nets differ in how sure they are for reasons of their own (few steps, a small rate), so answers are first
    made as sure as the source's rows bear out: :math:`T \le 1` is what lowers the loss there most. A net that
    is too sure is not helped.

    Where a learner has seen no rows, its answers are sure by extrapolation and bear nothing out. So the first
    term counts for the part of the target's rows that lie among the source's: a share :math:`o` of answers
    that may as well be lost loses that share of the information (a channel with erasures). ``outside`` gives
    :math:`o`, of the features that the learner reads.

    Args:
        probabilities: of the target's rows.
        source: of held-out source rows.
        labels: the classes of these; rows with -100 are left out.
        outside: part of the target's rows that lie outside of the source's, in [0, 1].
        ratio: times that each class is as common in the target, by which :math:`\pi` is multiplied where
            shares are known to differ (``bbse``); ``None`` takes them to be the same.

    Shape:
        ``probabilities (M, K)``, ``source (N, K)``, ``labels (N,)`` int64, ``ratio (K,)``.

    Returns:
        nats, at most :math:`\ln K`, higher is better.

    Raises:
        ValueError: if shapes do not match, a row is no probability, or ``outside`` is no part.

    Example:
        >>> y = torch.tensor([0, 1])
        >>> round(sound(torch.eye(2), torch.eye(2), y), 4)
        0.6931
        >>> round(sound(torch.eye(2), 1 - torch.eye(2), y), 1)
        -82.2
        >>> round(sound(torch.eye(2), torch.eye(2), y, outside=0.5), 4)
        0.3466

    References:
        the share: Cover & Thomas (2006), section 7.1.5, https://doi.org/10.1002/047174882X;
        the two terms, and classes of other shares: Krause, Perona & Gomes (NeurIPS 2010),
        https://papers.nips.cc/paper/4154-discriminative-clustering-by-regularized-information-maximization;
        Musgrave, Belongie & Lim (2022), section 3, https://arxiv.org/abs/2208.07360
    """
    if not 0 <= outside <= 1:
        raise wrong("`outside`", expected="a part, from 0 to 1", found=outside)
    p, q = probabilities_of(probabilities), probabilities_of(source, "source")
    sharper = [tuple((side.clamp(min=TINY).log() / t).softmax(1) for side in (p, q)) for t in SHARPER]
    risks = [source_risk(there, labels) for _, there in sharper]
    at = max(range(len(risks)), key=risks.__getitem__)
    shares = F.one_hot(labels[labels != -100], p.shape[1]).double().mean(0)
    if ratio is not None:
        shares = shares * ratio.to(shares)
        shares = shares / shares.sum().clamp(min=TINY)
    return (1 - outside) * _told(sharper[at][0], shares) + SOURCE * risks[at]


def _told(p: Tensor, shares: Tensor) -> float:
    """Give ``information`` where classes are to come in these shares, at least 0."""
    mean = p.mean(0).clamp(min=TINY)
    off = float((mean * (mean / shares.clamp(min=TINY)).log()).sum())
    return max(0.0, float(entropy(shares) - entropy(p).mean()) - off)


def snd(probabilities: Tensor, temperature: float = 0.05) -> float:
    r"""Judge a net by how many neighbours the target's rows have: the soft neighbourhood density.

    Rows of one class are to lie together. With the answers scaled to length 1, the similarities of a row to
    all others become probabilities, whose entropy counts the neighbours:

    .. math:: \overline{H(q)}, \qquad q_{ij} \propto e^{\hat p_i \cdot \hat p_j / T} \quad (j \ne i)

    It is highest for a net that answers one class for every row. Of more than 2000 rows some are drawn.

    Args:
        probabilities: of at least two of the target's rows.
        temperature: ``T``, above 0.

    Shape:
        ``probabilities (M, K)``.

    Returns:
        nats, in :math:`[0, \ln (M - 1)]`, higher is better.

    Raises:
        ValueError: if a row is no probability, there is one alone, or the temperature is not above 0.

    Example:
        >>> round(snd(torch.eye(2)[[0, 0, 0, 1, 1, 1]]), 4)  # two neighbours each
        0.6931

    References:
        Saito et al. (ICCV 2021), equations 2 to 4, https://arxiv.org/abs/2108.10860
    """
    p = probabilities_of(probabilities)
    if len(p) < 2 or not 0 < temperature < math.inf:
        found = f"{len(p)} rows, temperature {temperature}"
        raise wrong("rows and `temperature`", expected="at least 2, and above 0", found=found)
    z = torch.nn.functional.normalize(p[some(p, MOST, "neighbours")], dim=1)
    alike = (z @ z.T / temperature).fill_diagonal_(-math.inf)
    return float(entropy(alike.softmax(1)).mean())


def bnm(probabilities: Tensor) -> float:
    r"""Judge a net by the nuclear norm of its answers to the target's rows: sure ones, of many classes.

    .. math:: \frac{\lVert P \rVert_*}{\sqrt{M \min(M, K)}}

    the sum of the singular values of all probabilities together, over the most that it can be.

    Args:
        probabilities: of the target's rows.

    Shape:
        ``probabilities (M, K)``.

    Returns:
        in (0, 1], higher is better; 1 where every row is sure and each class has as many.

    Raises:
        ValueError: if a row is no probability.

    Differs from the paper:
        it is divided by its bound, so that it can be compared between numbers of rows.

    Example:
        >>> round(bnm(torch.eye(3)), 4), round(bnm(torch.full((4, 4), 0.25)), 4)
        (1.0, 0.25)

    References:
        Cui et al. (CVPR 2020), equation 7, https://arxiv.org/abs/2003.12237;
        as a judge: Musgrave, Belongie & Lim (2022), section 3, https://arxiv.org/abs/2208.07360
    """
    p = probabilities_of(probabilities)
    return float(torch.linalg.svdvals(p).sum() / math.sqrt(len(p) * min(p.shape)))


def corr_c(probabilities: Tensor) -> float:
    r"""Judge a net by whether its classes come one by one and alike often on the target.

    The cosine between the correlations of the class probabilities and the unit matrix:

    .. math:: \frac{\operatorname{tr} A}{\sqrt K \, \lVert A \rVert_F}, \qquad A = \frac1M P^\top P

    Args:
        probabilities: of the target's rows.

    Shape:
        ``probabilities (M, K)``.

    Returns:
        in (0, 1]; 1 where every row is sure and each class has as many.

    Raises:
        ValueError: if a row is no probability.

    Example:
        >>> round(corr_c(torch.eye(3)), 4), round(corr_c(torch.full((4, 4), 0.25)), 4)
        (1.0, 0.5)

    References:
        Tu et al. (TMLR 2024), section 4, https://arxiv.org/abs/2406.09908
    """
    p = probabilities_of(probabilities)
    together = p.T @ p
    return float(together.trace() / together.norm() / math.sqrt(p.shape[1]))
