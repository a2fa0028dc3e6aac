"""Gradient reversal: what the critic learns, the features unlearn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ReverseGradient(torch.autograd.Function):
    r"""Pass values on unchanged, and gradients multiplied by :math:`-\lambda`.

    .. math:: R(x) = x, \qquad \frac{dR}{dx} = -\lambda I

    Call it as ``ReverseGradient.apply(x, scale)``.

    Args:
        x: features.
        scale: :math:`\lambda`, at least 0.

    Shape:
        ``x`` of any shape; returns the same shape.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> ReverseGradient.apply(x, 0.5).sum().backward()
        >>> x.grad.tolist()
        [-0.5, -0.5]

    References:
        Ganin et al. (JMLR 2016), section 4.2, https://arxiv.org/abs/1505.07818
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, scale: float) -> Tensor:
        """Return ``x``."""
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep the scale."""
        ctx.scale = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Turn the gradient round."""
        return -ctx.scale * grad, None
