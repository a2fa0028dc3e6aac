"""Convolutions of maps ``(T, N, H, W, C)`` that are closed under differentiation.

A convolution is linear in its input and in its weight, and so are its two gradients: the derivative of each
of the three is one of the others. PyTorch's own second derivative takes the groups one by one.

A weight is *shared*, ``(O, C, h, w)``, or a task's *own*, ``(T, O, C, h, w)``. PyTorch's kernels are for the
shared ones, and fastest where channels come last; with own ones they would go task by task, or convolve by
groups, whose gradient in the rows takes three times as long as the convolution. So here a task's windows are
laid out as rows, and each of the three is a product of matrices, for some tasks at a time, whose windows the
caches hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from .room import parts

Pair = tuple[int, ...]

FEW = 16  # below so many channels a product is faster for shared weights too

_backward = torch.ops.aten.convolution_backward.default


@dataclass
class Pass:
    """Whether a backward pass asks for rows alone: Python's functions are not told which inputs it needs."""

    rows_alone: bool = False


@dataclass(frozen=True)
class Shape:
    """Say how a convolution slides."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    running: Pass

    @staticmethod
    def of(module: nn.Conv2d, running: Pass) -> Shape:
        """Return that of a layer."""
        padding = tuple(int(p) for p in module.padding)
        return Shape(module.kernel_size, module.stride, padding, module.dilation, running)

    def out(self, size: torch.Size) -> Pair:
        """Return the height and the width of what it gives for maps of a height and a width."""
        reach = (d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        sides = zip(size, self.padding, reach, self.stride, strict=True)
        return tuple((n + 2 * p - r) // s + 1 for n, p, r, s in sides)

    def turned(self) -> Shape | None:
        """Return that of the gradient in the rows where it is a convolution: of steps of one pixel."""
        sides = zip(self.kernel, self.padding, self.dilation, strict=True)
        padding = tuple(d * (k - 1) - p for k, p, d in sides)
        return replace(self, padding=padding) if max(self.stride) == 1 and min(padding) >= 0 else None


def convolve(x: Tensor, weight: Tensor, s: Shape) -> Tensor:
    """Convolve ``x (T, N, H, W, C)``; gives maps ``(T, N, H', W', O)``."""
    return _Conv.apply(x, weight, s)


def weight_gradient(d: Tensor, x: Tensor, shape: torch.Size, s: Shape) -> Tensor:
    """Return the gradient of a convolution in its weight, of a shape, by that in its outputs."""
    return _ByWeight.apply(d, x, shape, s)


def for_each(weight: Tensor, tasks: int) -> Tensor:
    """Return a shared weight once for each task, in memory as products read it; a sum with it keeps that."""
    return _ForEach.apply(_as_matrix(weight), tasks, weight.shape)


class _ForEach(torch.autograd.Function):
    """Its gradient is added up in the order of the memory."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, tasks: int, shape: torch.Size) -> Tensor:
        return _as_weight(matrix, shape).expand(tasks, *shape)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Any:
        return _as_matrix(d).sum(0), None, None


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, s: Shape) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.s = s
        if _library(weight):
            out = torch.convolution(_nchw(x), weight, None, s.stride, s.padding, s.dilation, False, [0, 0], 1)
            return _nhwc(out, len(x))
        return _products(x, weight, s)

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
        if _library(weight):
            return _nhwc(_gradient(d, d.new_empty(shape), weight, s, 0), len(d))
        turned = s.turned()
        if turned is not None:
            return _products(d, weight.flip(-2, -1).transpose(-4, -3), turned)
        matrix, made = _as_matrix(weight).mT, d.new_empty(shape)
        rows = d.reshape(len(d), -1, d.shape[-1])
        for some in parts(d, _numbers(d.shape, shape[-1], s)):
            windows = torch.matmul(rows[some], _of(matrix, some))
            made[some] = _overlaid(windows.unflatten(1, d.shape[1:4]), shape, s)
        return made

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
        if len(shape) == 4 and shape[1] >= FEW:
            return _gradient(d, x, d.new_empty(shape), s, 1)
        rows = d.reshape(len(d), -1, d.shape[-1])
        found = d.new_empty(len(d), shape[-3] * shape[-2] * shape[-1], shape[-4])
        for some, windows in _windows(x, s):
            torch.bmm(windows.mT, rows[some], out=found[some])
        return _as_weight(found if len(shape) == 5 else found.sum(0), shape)

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


# Shared weights: PyTorch's kernels


def _library(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight.shape[1] >= FEW


def _gradient(d: Tensor, x: Tensor, weight: Tensor, s: Shape, which: int) -> Tensor:
    mask = [which == 0, which == 1, False]
    given = _nchw(d), _nchw(x), weight
    return _backward(*given, None, s.stride, s.padding, s.dilation, False, [0, 0], 1, mask)[which]


def _nchw(x: Tensor) -> Tensor:
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def _nhwc(x: Tensor, tasks: int) -> Tensor:
    return x.permute(0, 2, 3, 1).unflatten(0, (tasks, -1)).contiguous()


# Own weights: products of windows


def _as_matrix(weight: Tensor) -> Tensor:
    """Return ``(*, h*w*C, O)``."""
    return weight.movedim((-2, -1), (-4, -3)).transpose(-2, -1).flatten(-4, -2)


def _as_weight(matrix: Tensor, shape: torch.Size) -> Tensor:
    sides = matrix.unflatten(-2, (*shape[-2:], shape[-3]))
    return sides.transpose(-2, -1).movedim((-4, -3), (-2, -1))


def _products(x: Tensor, weight: Tensor, s: Shape) -> Tensor:
    matrix = _as_matrix(weight)
    made = x.new_empty(*x.shape[:2], *s.out(x.shape[2:4]), matrix.shape[-1])
    rows = made.flatten(1, 3)
    for some, windows in _windows(x, s):
        torch.matmul(windows, _of(matrix, some), out=rows[some])
    return made


def _of(matrix: Tensor, some: slice) -> Tensor:
    return matrix[some] if matrix.ndim == 3 else matrix


def _numbers(out: torch.Size, channels: int, s: Shape) -> int:
    """Return how many numbers the windows of a task have, for outputs ``(T, N, H', W', *)``."""
    return math.prod(out[1:4]) * math.prod(s.kernel) * channels


def _windows(x: Tensor, s: Shape) -> Iterator[tuple[slice, Tensor]]:
    """Give the windows of some tasks at a time, ``(t, N*H'*W', h*w*C)``, in memory that is used again."""
    (top, left), (down, right), (below, beside) = s.padding, s.stride, s.dilation
    tasks, count, height, width, channels = x.shape
    out = torch.Size((tasks, count, *s.out(x.shape[2:4])))
    some_tasks = list(parts(x, _numbers(out, channels, s)))
    padded = x.new_zeros(some_tasks[0].stop, count, height + 2 * top, width + 2 * left, channels)
    task, row, line, pixel, channel = padded.stride()
    shape = (len(padded), *out[1:], *s.kernel, channels)
    steps = (task, row, down * line, right * pixel, below * line, beside * pixel, channel)
    seen = padded.as_strided(shape, steps)
    windows = x.new_empty(shape)
    for some in some_tasks:
        t = some.stop - some.start
        padded[:t, :, top : top + height, left : left + width] = x[some]
        yield some, windows[:t].copy_(seen[:t]).flatten(4).flatten(1, 3)


def _overlaid(windows: Tensor, shape: torch.Size, s: Shape) -> Tensor:
    """Add windows ``(t, N, H', W', h*w*C)`` up where they overlap; gives ``(t, N, H, W, C)``."""
    (top, left), (down, right), (below, beside) = s.padding, s.stride, s.dilation
    height, width = shape[2:4]
    padded = windows.new_zeros(*windows.shape[:2], height + 2 * top, width + 2 * left, shape[4])
    for at, tap in enumerate(windows.split(shape[4], -1)):
        row, column = at // s.kernel[1] * below, at % s.kernel[1] * beside
        rows = slice(row, row + down * (windows.shape[2] - 1) + 1, down)
        padded[:, :, rows, column : column + right * (windows.shape[3] - 1) + 1 : right] += tap
    return padded[:, :, top : top + height, left : left + width]
