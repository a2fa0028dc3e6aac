"""Boxes around objects in images: how far two overlap, and which of many are told once.

A box is ``(left, top, right, bottom)``, in shares of the image's width and height.

Shapes: ``B`` images, ``K`` and ``M`` boxes of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .kind import Label


class Box(NamedTuple):
    """An object in an image: its class, where it is, and how sure that is.

    Args:
        label: of its class.
        left: in shares of the image's width, as is ``right``; times the pixels of a side it is in pixels.
        top: in shares of its height, as is ``bottom``.
        right: more than ``left``.
        bottom: more than ``top``.
        score: in [0, 1]; 1 for a label.

    Example:
        >>> Box("disc", 0.25, 0.5, 0.75, 1.0).score
        1.0
    """

    label: Label
    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0


def corners(centre: Tensor, size: Tensor) -> Tensor:
    """Turn middles and sizes, ``(..., 2)`` each, into boxes ``(..., 4)``.

    Example:
        >>> corners(torch.tensor([0.5, 0.5]), torch.tensor([0.5, 1.0])).tolist()
        [0.25, 0.0, 0.75, 1.0]
    """
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def area(boxes: Tensor) -> Tensor:
    """Measure boxes ``(..., 4)``: ``(...)``, 0 where one is inside out."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    r"""Tell the intersection over union of boxes that broadcast, ``(..., 4)`` each.

    .. math:: |A \cap B| / |A \cup B|

    Example:
        >>> overlaps(torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.5, 0.0, 1.5, 1.0])).item()
        0.333...
    """
    both = _both(a, b)
    return both / (area(a) + area(b) - both).clamp(min=1e-12)


def agreement(a: Tensor, b: Tensor) -> Tensor:
    r"""Tell the generalised intersection over union, in (-1, 1], which has a slope where boxes lie apart.

    .. math:: \frac{|A \cap B|}{|A \cup B|} - \frac{|C| - |A \cup B|}{|C|}

    with the smallest box :math:`C` around both.

    References:
        Rezatofighi et al. (CVPR 2019), algorithm 1, https://arxiv.org/abs/1902.09630
    """
    both = _both(a, b)
    union = (area(a) + area(b) - both).clamp(min=1e-12)
    low, high = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    around = (high - low).prod(-1).clamp(min=1e-12)
    return both / union - (around - union) / around


def _both(a: Tensor, b: Tensor) -> Tensor:
    """Measure what two boxes have in common."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    return (high - low).clamp(min=0).prod(-1)


def once(boxes: Tensor, classes: Tensor, most: float) -> Tensor:
    """Leave out each box that a better one of its class covers: greedy non-maximum suppression.

    Args:
        boxes: of each image, the best first.
        classes: of them.
        most: intersection over union from which on two are one.

    Shape:
        ``(B, K, 4)`` and ``(B, K)`` to a mask ``(B, K)`` of those that stay.

    Example:
        >>> some = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9], [0.0, 0.0, 0.2, 0.2]]])
        >>> once(some, torch.zeros(1, 3), 0.5).tolist()
        [[True, False, True]]
    """
    covers = overlaps(boxes[:, :, None], boxes[:, None]) > most
    covers &= (classes[:, :, None] == classes[:, None]) & torch.ones_like(covers[0]).triu(1)
    stays = torch.ones_like(classes, dtype=torch.bool)
    for k in range(boxes.shape[1] - 1):
        stays &= ~(covers[:, k] & stays[:, k, None])
    return stays


def padded(rows: Sequence[Sequence[Sequence[float]] | None]) -> Tensor:
    """Put the boxes of images, ``(class number, left, top, right, bottom)`` each, into one tensor.

    Behind the boxes of an image stand rows of -1 and zeros; an image without a label, ``None``, is NaN.

    Example:
        >>> padded([[(0, 0.0, 0.0, 0.5, 1.0)], [], None])[:, 0, 0].tolist()
        [0.0, -1.0, nan]
    """
    most = max([1, *(len(row) for row in rows if row is not None)])
    y = torch.zeros(len(rows), most, 5)
    y[:, :, 0] = -1
    for at, row in zip(y, rows, strict=True):
        if row is None:
            at.fill_(torch.nan)
        elif row:
            at[: len(row)] = torch.tensor(row)
    return y
