r"""Batch norm of each task's rows, with its second derivative written out.

With :math:`\hat x = (x - \mu) s` of each channel's :math:`n` numbers, :math:`B` the gradient in the rows for
one :math:`d` of the outputs and :math:`A` that for another, :math:`v`, the derivative of
:math:`\langle v, B \rangle + a\, g_w + c\, g_b` is :math:`A + a \hat x + c` by :math:`d`, and
:math:`\langle v, B \rangle / w` by the scale. By :math:`x` it is a sum of :math:`\hat x`, :math:`A` and
:math:`B`, with a number per channel each. PyTorch's own makes about thirty passes over the rows, this one a
handful.

The mean is taken away by a step of its own. What comes behind is the same for rows that are moved, so that
its gradients have no mean, and that step hands them on as they are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .room import parts

TINY = 1e-30  # in place of a scale of 0, which would hide what it is multiplied with

_threshold = torch.ops.aten.threshold_backward


def batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, *, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each task's channels; gives also their mean and unbiased variance ``(T, C)``.

    Args:
        x: ``(T, *, C)``, at least two numbers of each channel.
        weight: scale ``(T, C)``.
        bias: shift ``(T, C)``.
        eps: is added to the variance.
        relu: cut what is below 0 off, in the same passes.
    """
    rows = x.flatten(1, -2)
    weight, bias = (
        rows.new_full(rows[:, 0].shape, i) if v is None else v for i, v in ((1, weight), (0, bias))
    )
    centred, mean = _Centred.apply(rows)
    out, var = _Scaled.apply(centred, weight, bias, eps, relu)
    n = rows.shape[1]
    return out.view(x.shape), mean, var * (n / (n - 1))


class _Centred(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = x.mean(1)
        ctx.mark_non_differentiable(mean)
        return x - mean[:, None], mean

    @staticmethod
    def backward(ctx: Any, d: Tensor, _: Any) -> Tensor:
        return d


class _Scaled(torch.autograd.Function):
    """Divide centred rows ``(T, n, C)`` by their deviation."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool
    ) -> tuple[Tensor, Tensor]:
        var = _mean_product(x, x)
        scale = (var + eps).rsqrt()
        out = torch.addcmul(bias[:, None], x, (scale * weight)[:, None])
        if relu:
            out.relu_()
        ctx.save_for_backward(x, weight, scale, *((out,) if relu else ()))
        ctx.mark_non_differentiable(var)
        return out, var

    @staticmethod
    def backward(ctx: Any, d: Tensor, _: Any) -> Any:
        return *_Gradient.apply(d, *ctx.saved_tensors), None, None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, d: Tensor, x: Tensor, weight: Tensor, scale: Tensor, out: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        weight = torch.where(weight.abs() < TINY, TINY, weight)
        rows, by_weight, by_bias = _gradient(_live(d, out), x, weight, scale)
        ctx.save_for_backward(x, weight, scale, rows, by_weight, *(() if out is None else (out,)))
        ctx.set_materialize_grads(False)
        return rows, by_weight, by_bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor | None, a: Tensor | None, c: Tensor | None) -> Any:
        x, weight, scale, rows, by_weight, *out = ctx.saved_tensors
        n = x.shape[1]
        zero = torch.zeros_like(scale)
        a, c = (zero if g is None else g for g in (a, c))
        if v is None:
            v = torch.zeros_like(x)
        by_d, by_weight_again, _ = _gradient(v, x, weight, scale)
        product = n * _mean_product(v, rows)
        pull = a / weight - scale * by_weight_again / n
        by_row = rows * pull[:, None]
        by_row.addcmul_(by_d, (-scale * by_weight / n)[:, None])
        by_row.addcmul_(x, (-product * scale * scale / n)[:, None])
        by_d.addcmul_(x, (a * scale)[:, None]).add_(c[:, None])
        for cut in out:
            _threshold.grad_input(by_d, cut, 0, grad_input=by_d)
        return by_d, by_row, product / weight, None, *(None for _ in out)


def _live(d: Tensor, out: Tensor | None) -> Tensor:
    """Return what there is of a gradient where a ReLU let something through."""
    return d if out is None else _threshold(d, out, 0)


def _mean_product(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean of each channel's products, ``(T, C)``."""
    found = torch.empty_like(a[:, 0])
    for some in parts(a, a[0].numel()):
        torch.mean(a[some] * b[some], 1, out=found[some])
    return found


def _gradient(d: Tensor, x: Tensor, weight: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients in the rows, the scale and the shift."""
    by_bias, by_weight = d.mean(1), _mean_product(d, x) * scale
    factor = weight * scale
    rows = torch.addcmul((-factor * by_bias)[:, None], d, factor[:, None])
    rows.addcmul_(x, (-factor * scale * by_weight)[:, None])
    n = x.shape[1]
    return rows, n * by_weight, n * by_bias
