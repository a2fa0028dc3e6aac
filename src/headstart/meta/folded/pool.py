"""Max-pooling whose second derivative takes numbers where they lie, with channels last.

PyTorch's own copies to channels first for it, which takes longer than the pooling and its gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_forward = torch.ops.aten.max_pool2d_with_indices.default
_backward = torch.ops.aten.max_pool2d_with_indices_backward.default


def max_pool(x: Tensor, module: nn.MaxPool2d) -> Tensor:
    """Pool ``x (N, C, H, W)``."""
    sides = (module.kernel_size, module.stride, module.padding, module.dilation)
    pairs = [[side, side] if isinstance(side, int) else list(side) for side in sides]
    out: Tensor = _MaxPool.apply(x, [*pairs, module.ceil_mode])
    return out


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, how: list[Any]) -> Tensor:
        out, at = _forward(x, *how)
        ctx.save_for_backward(x, at)
        ctx.how = how
        return out

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Any:
        return _Spread.apply(d, *ctx.saved_tensors, ctx.how), None


class _Spread(torch.autograd.Function):
    """The gradient in the pixels."""

    @staticmethod
    def forward(ctx: Any, d: Tensor, x: Tensor, at: Tensor, how: list[Any]) -> Tensor:
        ctx.save_for_backward(at)
        return _backward(d, x, *how, at)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor) -> Any:
        (at,) = ctx.saved_tensors
        pixels, lying = (t.permute(0, 2, 3, 1).flatten(1, 2) for t in (v, at))
        taken = pixels.gather(1, lying).unflatten(1, at.shape[2:])
        return taken.permute(0, 3, 1, 2), None, None, None
