"""Convolutions that are closed under differentiation.

A convolution is linear in its input and in its weight, and so are its two gradients: the derivative of each
of the three is one of the others. PyTorch's own second derivative takes the groups one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_backward = torch.ops.aten.convolution_backward.default


@dataclass
class Pass:
    """Whether a backward pass asks for rows alone: Python's functions are not told which inputs it needs."""

    rows_alone: bool = False


@dataclass(frozen=True)
class Shape:
    """Say how a convolution slides, and over how many groups."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    running: Pass

    @staticmethod
    def of(module: nn.Conv2d, tasks: int, running: Pass) -> Shape:
        """Return that of a layer, with its groups repeated for each task."""
        padding = tuple(int(p) for p in module.padding)
        return Shape(module.stride, padding, module.dilation, tasks * module.groups, running)


def _gradient(d: Tensor, x: Tensor, weight: Tensor, s: Shape, which: int) -> Tensor:
    mask = [which == 0, which == 1, False]
    return _backward(d, x, weight, None, s.stride, s.padding, s.dilation, False, [0, 0], s.groups, mask)[
        which
    ]


def _like(x: Tensor, shape: torch.Size) -> Tensor:
    return x.new_empty(shape)  # that is all that is asked of it, and it is copied where it is a view


def convolve(x: Tensor, weight: Tensor, s: Shape) -> Tensor:
    """Convolve ``x (N, G*C, H, W)`` by ``weight (G*O, C, h, w)``."""
    return _Conv.apply(x, weight, s)


def weight_gradient(d: Tensor, x: Tensor, shape: torch.Size, s: Shape) -> Tensor:
    """Return the gradient of a convolution in its weight, of a shape, by that in its outputs."""
    return _ByWeight.apply(d, x, shape, s)


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, s: Shape) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.s = s
        return torch.convolution(x, weight, None, s.stride, s.padding, s.dilation, False, [0, 0], s.groups)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        ask = ctx.needs_input_grad
        by_row = _ByRow.apply(d, weight, x.shape, ctx.s) if ask[0] else None
        by_weight = ask[1] and not ctx.s.running.rows_alone
        return by_row, weight_gradient(d, x, weight.shape, ctx.s) if by_weight else None, None


class _ByRow(torch.autograd.Function):
    """The gradient in the rows, by the outputs' ``d`` and the weight."""

    @staticmethod
    def forward(ctx: Any, d: Tensor, weight: Tensor, shape: torch.Size, s: Shape) -> Tensor:
        ctx.save_for_backward(d, weight)
        ctx.s = s
        return _gradient(d, _like(d, shape), weight, s, 0)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        d, weight = ctx.saved_tensors
        ask = ctx.needs_input_grad
        return (
            _Conv.apply(v, weight, ctx.s) if ask[0] else None,
            weight_gradient(d, v, weight.shape, ctx.s) if ask[1] else None,
            None,
            None,
        )


class _ByWeight(torch.autograd.Function):
    """The gradient in the weight, by the outputs' ``d`` and the rows."""

    @staticmethod
    def forward(ctx: Any, d: Tensor, x: Tensor, shape: torch.Size, s: Shape) -> Tensor:
        ctx.save_for_backward(d, x)
        ctx.s = s
        return _gradient(d, x, _like(d, shape), s, 1)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        d, x = ctx.saved_tensors
        ask = ctx.needs_input_grad
        return (
            _Conv.apply(x, v, ctx.s) if ask[0] else None,
            _ByRow.apply(d, v, x.shape, ctx.s) if ask[1] else None,
            None,
            None,
        )
