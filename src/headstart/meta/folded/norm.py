r"""Batch norm with its second derivative written out.

With :math:`\hat x = (x - \mu) s` of each channel's :math:`n` numbers, :math:`B` the gradient in the rows for
one :math:`d` of the outputs and :math:`A` that for another, :math:`v`, the derivative of
:math:`\langle v, B \rangle + a\, g_w + c\, g_b` is :math:`A + a \hat x + c` by :math:`d`, and
:math:`\langle v, B \rangle / w` by the scale. By :math:`x` it is a sum of :math:`\hat x`, :math:`A` and
:math:`B`, with a number per channel each. PyTorch's own makes about thirty passes over the rows, this one a
handful.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_backward = torch.ops.aten.native_batch_norm_backward.default
TINY = 1e-30  # in place of a scale of 0, which would hide what it is multiplied with


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each channel of ``x (N, C, H, W)``; gives also its mean and unbiased variance ``(C,)``."""
    out, mean, var = _BatchNorm.apply(x, weight, bias, eps)
    return out, mean, var


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean_seen, var_seen = x.new_zeros(2, x.shape[1])
        out, mean, scale = torch.native_batch_norm(x, weight, bias, mean_seen, var_seen, True, 1.0, eps)
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean_seen, var_seen)
        return out, mean_seen, var_seen

    @staticmethod
    def backward(ctx: Any, d: Tensor, *_: Any) -> Any:
        by_row, by_weight, by_bias = _Gradient.apply(d, *ctx.saved_tensors, ctx.eps)
        return by_row, by_weight, by_bias if ctx.needs_input_grad[2] else None, None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, d: Tensor, x: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        weight = torch.where(weight.abs() < TINY, TINY, weight)
        rows, by_weight, by_bias = _backward(
            d, x, weight, None, None, mean, scale, True, eps, [True, True, True]
        )
        ctx.save_for_backward(x, weight, mean, scale, rows, by_weight)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return rows, by_weight, by_bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor | None, a: Tensor | None, c: Tensor | None) -> Any:
        x, weight, mean, scale, rows, by_weight = ctx.saved_tensors
        n = x.numel() // x.shape[1]
        zero = torch.zeros_like(scale)
        a, c = (zero if g is None else g for g in (a, c))
        if v is None:
            v = torch.zeros_like(x)
        again, by_weight_again, _ = _backward(
            v, x, weight, None, None, mean, scale, True, ctx.eps, [True, True, True]
        )
        product = _per_channel(v, rows)
        pull = a / weight - scale * by_weight_again / n
        turn = -product * scale * scale / n
        by_row = rows.mul(_wide(pull))
        by_row.addcmul_(again, _wide(-scale * by_weight / n))
        by_row.addcmul_(x, _wide(turn)).sub_(_wide(turn * mean))
        tilt = a * scale
        by_d = again.addcmul_(x, _wide(tilt)).add_(_wide(c - tilt * mean))
        return by_d, by_row, product / weight, None, None, None


def _per_channel(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((0, 2, 3))


def _wide(v: Tensor) -> Tensor:
    return v[:, None, None]
