"""Rows of length 1.

Shapes: ``N`` rows, ``D`` features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def unit(rows: Tensor) -> Tensor:
    r"""Bring rows to length 1, however small or large their numbers; rows of zeros stay.

    .. math:: \frac{z / s}{\lVert z / s \rVert}, \qquad s = \max_d |z_d|

    Squares of numbers beyond 1e19 or below 1e-22 leave the range of float32, and a length that is cut off at
    a small number turns short rows into shorter ones: without :math:`s` such rows look all alike.

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
    largest = rows.detach().abs().amax(1, keepdim=True)  # it does not change the result, so it has no slope
    return normalize(rows / torch.where(largest > 0, largest, 1.0), dim=1, eps=0.5)
