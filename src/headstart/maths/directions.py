"""Rows of length 1, and the size of numbers.

Shapes: ``N`` rows, ``D`` features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def unit(rows: Tensor) -> Tensor:
    r"""Bring rows to length 1, however small or large their numbers; rows of zeros stay.

    .. math:: \frac{z / s}{\lVert z / s \rVert}

    Squares of numbers beyond 1e19 or below 1e-22 leave the range of float32, and a length that is cut off at
    a small number turns short rows into shorter ones: without a size :math:`s` of each row such rows look all
    alike.

    Args:
        rows: features, finite.

    Shape:
        ``rows (N, D)``; returns ``(N, D)``.

    Example:
        >>> unit(torch.tensor([[3e30, 4e30], [-3e-30, 0.0], [0.0, 0.0]]))
        tensor([[ 0.6000,  0.8000],
                [-1.0000,  0.0000],
                [ 0.0000,  0.0000]])
    """
    return normalize(rows / size(rows.detach().abs().amax(1, keepdim=True)), dim=1, eps=0.5)


def size(largest: Tensor) -> Tensor:
    """Return the power of two at or just below a number, 1 for 0: dividing by it rounds nothing.

    Args:
        largest: at least 0, finite.

    Shape:
        any; returns the same shape.

    Example:
        >>> size(torch.tensor([5.0, 0.25, 0.0])).tolist()
        [4.0, 0.25, 1.0]
    """
    return torch.where(largest > 0, 2 ** largest.log2().floor(), 1.0)
