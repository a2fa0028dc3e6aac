"""How far apart two sets of rows are distributed: the maximum mean discrepancy.

Shapes: ``N``, ``M`` rows, ``D`` features.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy
import torch
from torch import Tensor

from .distances import squared_distances

TINY = 1e-12
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # in medians of the squared distances


def discrepancy(a: Tensor, b: Tensor, bandwidths: Sequence[float] = BANDWIDTHS) -> Tensor:
    r"""Measure the squared maximum mean discrepancy of two sets of rows.

    The V-statistic under the mean of the Gaussian kernels :math:`\exp(-d^2 / (b_m \sigma^2))`, where
    :math:`\sigma^2` is the median of the squared distances between different rows of both sets, and
    no gradient flows through it. At least 0; 0 for a set and itself.

    There is one matrix of distances, and the gradient is in closed form: with the signs :math:`s_i` (one
    over the rows of its set, below 0 for the second) and the kernel's slope
    :math:`k'`, that of row ``i`` is :math:`4 \sum_j s_i s_j k'(d_{ij}^2)\,(z_i - z_j)`, one more product of
    matrices. It can be differentiated once.

    Args:
        a: rows.
        b: other rows.
        bandwidths: :math:`b_m`, above 0, in median squared distances.

    Shape:
        ``a (N, D)``, ``b (M, D)``; returns ``()``.

    Example:
        >>> a = torch.tensor([[0.0], [1.0]])
        >>> discrepancy(a, a).item(), discrepancy(a, a + 9).item() > 0.5
        (0.0, True)

    References:
        Gretton et al. (JMLR 2012), equation 5, https://jmlr.org/papers/v13/gretton12a.html
    """
    return _Discrepancy.apply(torch.cat([a, b]), signs(a, b), tuple(sorted(bandwidths, reverse=True)))


def signs(a: Tensor, b: Tensor) -> Tensor:
    """Weigh the rows of two sets, so that ``signs @ kernel @ signs`` is their discrepancy, ``(N + M,)``."""
    return torch.cat([a.new_full((len(a),), 1 / len(a)), b.new_full((len(b),), -1 / len(b))])


def median_distance(distances: Tensor) -> Tensor:
    """Give the lower median of the squared distances between different rows, ``()``, without a gradient.

    Args:
        distances: of all rows to one another, ``(N, N)``, with 0 on the diagonal.

    Example:
        >>> median_distance(squared_distances(torch.tensor([[0.0], [1.0], [3.0]]))).item()
        4.0
    """
    count = len(distances)
    pairs = count * (count - 1) // 2  # each stands there twice, behind the zeros of the diagonal
    place = min(count + 2 * ((pairs - 1) // 2) + 1, count * count)
    flat = distances.detach().flatten()
    if flat.device.type == "cpu" and flat.dtype in (torch.float32, torch.float64):
        middle = float(numpy.partition(flat.numpy(), place - 1)[place - 1])  # ten times as fast
        return flat.new_tensor(max(middle, TINY))
    return flat.kthvalue(place).values.clamp(min=TINY)


def _kernel(distances: Tensor, widths: Sequence[Tensor], slope: bool) -> tuple[Tensor, Tensor | None]:
    """Give the mean of Gaussian kernels, widest first, and its slope; half a width is a square."""
    part = torch.exp(distances / -widths[0])
    total, slopes = part.clone(), (part / -widths[0]) if slope else None
    for before, width in pairwise(widths):
        if bool(width * 2 == before):
            part.square_()
        else:
            torch.exp(torch.div(distances, -width, out=part), out=part)
        total += part
        if slopes is not None:
            slopes.addcdiv_(part, -width)
    return total.div_(len(widths)), None if slopes is None else slopes.div_(len(widths))


class _Discrepancy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sign: Tensor, bandwidths: tuple[float, ...]) -> Tensor:
        distances = squared_distances(rows)
        median = median_distance(distances)
        kernel, slope = _kernel(distances, [median * m for m in bandwidths], ctx.needs_input_grad[0])
        value = sign @ kernel @ sign
        if slope is not None:
            pulls = slope.mul_(sign).mul_(sign[:, None])  # (N + M, N + M)
            gradient = torch.addmm(rows * pulls.sum(1, keepdim=True), pulls, rows, alpha=-1).mul_(4)
            ctx.save_for_backward(gradient * (value > 0))
        return value.clamp(min=0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad, None, None
