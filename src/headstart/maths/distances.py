"""Squared distances between rows, by one matrix product, and Gaussian kernels of them.

Shapes: ``N``, ``M`` rows, ``D`` features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import wrong


def squared_distances(a: Tensor, b: Tensor | None = None) -> Tensor:
    r"""Measure the squared Euclidean distance of every row of ``a`` to every row of ``b``.

    .. math:: |a_i - b_j|^2 = |a_i|^2 + |b_j|^2 - 2\,a_i \cdot b_j

    Rows are centred first, because a common offset costs the formula its digits. Rounding below
    zero is cut off. Gradients are finite everywhere, at equal rows too.

    Args:
        a: rows.
        b: other rows; ``a`` itself when left out, and then the diagonal is exactly 0.

    Shape:
        ``a (N, D)``, ``b (M, D)``; returns ``(N, M)``.

    Raises:
        ValueError: if a part is not a matrix, or the widths differ.

    Example:
        >>> squared_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
        [[0.0, 25.0], [25.0, 0.0]]

    References:
        Gretton et al. (JMLR 2012) use it inside kernels, https://jmlr.org/papers/v13/gretton12a.html
    """
    other = a if b is None else b
    if a.ndim != 2 or other.ndim != 2 or a.shape[1] != other.shape[1]:
        raise wrong(
            "rows",
            expected="two matrices of one width",
            found=f"{tuple(a.shape)} and {tuple(other.shape)}",
        )
    centre = a.detach().mean(0)
    a = a - centre
    other = a if b is None else b - centre
    squares = a.square().sum(1)
    others = squares if b is None else other.square().sum(1)
    distances = torch.addmm(squares[:, None] + others, a, other.T, alpha=-2).clamp(min=0)
    if b is None:
        distances = distances.masked_fill(torch.eye(len(a), dtype=torch.bool, device=a.device), 0)
    return distances


def gaussian(distances: Tensor, bandwidths: Sequence[float | Tensor]) -> Tensor:
    r"""Turn squared distances into the mean of several Gaussian kernels.

    .. math:: k(d^2) = \frac1M \sum_{m=1}^{M} \exp(-d^2 / b_m)

    Args:
        distances: squared distances, at least 0.
        bandwidths: :math:`b_m`, one or more, above 0, in the unit of ``distances``.

    Shape:
        ``distances`` of any shape; returns the same shape, values in (0, 1].

    Example:
        >>> gaussian(torch.tensor([0.0, 1.0]), [1.0]).tolist()  # doctest: +ELLIPSIS
        [1.0, 0.367...]

    References:
        Gretton et al. (NeurIPS 2012), section 2,
        https://papers.nips.cc/paper/2012/hash/dbe272bab69f8e13f14b405e038deb64-Abstract.html
    """
    kernels = [torch.exp(distances / -b) for b in bandwidths]
    return torch.stack(kernels).mean(0) if len(kernels) > 1 else kernels[0]
