"""Fair shares of the gain.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import math

from torch import Tensor

from ..errors import wrong
from ._fairness import fair
from ._gramian import Directions


def fairgrad(gramian: Tensor, *, alpha: float = 2.0) -> Tensor:
    r"""Weigh tasks by the step whose gains are shared fairly, with a knob for how fair.

    .. math:: G w = w^{-1/\alpha}, \quad w > 0 \qquad\text{which maximises}\quad
        \sum_k \frac{(g_k \cdot d)^{1 - \alpha}}{1 - \alpha} \;\text{over a ball}

    With ``alpha`` near 0 the sum of the gains counts, as in the plain sum; 1 is ``nash``; the larger, the
    more the task that gains least. It goes against no task.

    Args:
        gramian: inner products of the task gradients.
        alpha: how fair, above 0; in practice 0.5 to 10.

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``, above 0, and 0 for a zero gradient.

    Raises:
        ValueError: if the Gramian is not square, or ``alpha`` is out of its range.
        FloatingPointError: if it is not finite.

    Differs from the paper:
        solved to rounding by Newton's steps instead of least squares; 40 of them at most, which is short of
        the solution only where gradients of far lengths cancel.

    Example:
        >>> import torch
        >>> fairgrad(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist()  # doctest: +ELLIPSIS
        [0.99..., 0.99...]

    References:
        Ban & Ji (ICML 2024), equation 4, https://arxiv.org/abs/2402.15638
    """
    if not 0 < alpha < math.inf:
        raise wrong("`alpha`", expected="above 0 and finite", found=alpha, hint="pass `alpha=2`")
    own = Directions.of(gramian)
    shares = own.lengths ** (1 / alpha - 1)
    return own.weights(fair(own.cosines, shares, 1 / alpha), gramian)
