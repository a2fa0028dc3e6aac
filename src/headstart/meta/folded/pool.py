"""Max-pooling of two by two pixels, which PyTorch does one number after another on a CPU.

The larger of neighbours in a row and then of rows takes a fraction of the time; of equal ones the first in
reading order wins, as in PyTorch. Both derivatives are PyTorch's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_backward = torch.ops.aten.max_pool2d_with_indices_backward.default


def halves(module: object) -> bool:
    """Tell whether a module is that pooling."""
    if type(module) is not nn.MaxPool2d or module.ceil_mode or module.return_indices:
        return False
    two = (2, (2, 2), [2, 2])
    still = module.padding in (0, (0, 0)) and module.dilation in (1, (1, 1))
    return module.kernel_size in two and module.stride in two and still


def max_pool(x: Tensor) -> Tensor:
    """Pool ``x (N, C, H, W)``, ``H`` and ``W`` at least 2; what is left over at the end is dropped."""
    out: Tensor = _MaxPool.apply(x)
    return out


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        height, width = x.shape[2] // 2, x.shape[3] // 2
        rows = x[:, :, : 2 * height]
        left, right = rows[..., 0 : 2 * width : 2], rows[..., 1 : 2 * width : 2]
        larger = torch.maximum(left, right)
        top, low = larger[..., ::2, :], larger[..., 1::2, :]
        out = torch.maximum(top, low)
        if not ctx.needs_input_grad[0]:
            return out
        second, lower = right > left, low > top
        above, below = second[..., ::2, :], second[..., 1::2, :]
        column = ((above ^ below) & lower) ^ above  # `torch.where` takes three times as long
        steps = (2 * torch.arange(n, device=x.device) for n in (height, width))
        corner = next(steps)[:, None] * x.shape[3] + next(steps)
        ctx.save_for_backward(x, (lower.long() * x.shape[3]).add_(column.long()).add_(corner))
        return out

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Any:
        x, at = ctx.saved_tensors
        return _backward(d.contiguous(), x, [2, 2], [2, 2], [0, 0], [1, 1], False, at)
