r"""Average precision of boxes: how many are right, the surest first, and how many are found.

Shapes: ``n`` images, ``K`` boxes said of each, ``M`` boxes that are there, ``C`` classes, ``T`` thresholds,
``R`` reweightings.

References:
    Everingham et al. (IJCV 2010), section 4.2, https://doi.org/10.1007/s11263-009-0275-4: the area under
        precision, made to fall, over recall.
    Lin et al. (ECCV 2014), https://arxiv.org/abs/1405.0312: the mean over thresholds of overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .boxes import overlaps
from .measures import UNIT, Measure, by_name, macro

THRESHOLDS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))  # of overlap, as COCO's


def matched(said: Tensor, y: Tensor) -> Tensor:
    """Tell which boxes are right at each threshold of overlap, ``(n, K, T)``.

    The surest chooses first, the box of its class that it overlaps most among those that are not taken.

    Args:
        said: class, score and box, the surest first, ``(n, K, 6)``.
        y: class and box, ``(n, M, 5)``.
    """
    overlap = overlaps(said[:, :, None, 2:], y[:, None, :, 1:])  # (n, K, M)
    overlap = torch.where((said[:, :, None, 0] == y[:, None, :, 0]) & (y[:, None, :, 0] >= 0), overlap, -1.0)
    least = overlap.new_tensor(THRESHOLDS)
    free = overlap.new_ones(len(y), len(least), y.shape[1], dtype=torch.bool)  # (n, T, M)
    right = free.new_zeros(*said.shape[:2], len(least))
    for k in range(said.shape[1]):
        open_ = overlap[:, k, None].where(free, -1.0)
        best, at = open_.max(2)
        right[:, k] = best >= least
        free &= ~(torch.zeros_like(free).scatter(2, at[..., None], True) & right[:, k, :, None])
    return right


@dataclass(frozen=True)
class AveragePrecision:
    r"""Average the area under precision over recall over classes and thresholds of overlap.

    .. math:: \sum_k (r_k - r_{k-1}) \max_{j \ge k} p_j

    over the boxes of all images, the surest first. The area is exact, so that it has a slope in the weights
    of the images; COCO's own script reads precision at 101 places of recall, which differs by about .005.

    Args:
        at: thresholds of overlap, some of ``THRESHOLDS``.

    Example:
        >>> said = torch.tensor([[[0, 0.9, *[1] * 10], [0, 0.8, *[0] * 10]]])  # class, score, right at each
        >>> AveragePrecision((0.5,))(said, torch.tensor([[2]]), torch.ones(1, 1)).tolist()
        [0.5]
    """

    at: tuple[float, ...] = THRESHOLDS

    def __call__(self, p: Tensor, t: Tensor, w: Tensor) -> Tensor:
        """Score boxes ``p (n, K, 2 + T)`` against counts of those that are there, ``t (n, C)``."""
        image = torch.arange(len(p)).repeat_interleave(p.shape[1])
        order = p[:, :, 1].flatten().argsort(descending=True, stable=True)
        flat, image = p.flatten(0, 1)[order], image[order]
        there = w @ t.to(w)  # (R, C)
        columns = [2 + THRESHOLDS.index(least) for least in self.at]
        areas = torch.stack(
            [_area(flat[mine][:, columns].T, w[:, image[mine]])
             for c in range(t.shape[1]) for mine in [flat[:, 0] == c]], 1
        )  # fmt: skip
        return macro(areas, there)


def _area(right: Tensor, w: Tensor) -> Tensor:
    """Measure the area of one class, times the boxes that are there, averaged over thresholds.

    ``(T, N)`` and ``(R, N)`` to ``(R,)``.
    """
    said = w.cumsum(1).clamp(min=1e-12)
    found = []
    for some in right.to(w):
        gained = w * some
        precision = (gained.cumsum(1) / said).flip(1).cummax(1).values.flip(1)
        found.append((gained * precision).sum(1))
    return torch.stack(found).mean(0)


MEASURES = by_name(
    Measure("map", AveragePrecision(), bounds=UNIT),
    Measure("map50", AveragePrecision((0.5,)), bounds=UNIT),
    Measure("map75", AveragePrecision((0.75,)), bounds=UNIT),
)
