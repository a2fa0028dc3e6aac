"""Exact products of the tasks' gradients through a chain of convolutions and linear layers.

Shapes: ``K`` tasks, ``B`` rows, ``D`` features at the waist, ``M`` directions that go back, ``L`` places of a
map, ``i`` inputs of a filter (channels times its size), ``o`` filters or outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, unfold

from ._graph import Graph, Layer

PATCHES = 2**20  # numbers laid out at a time: 4 MB, which stay near the processor


@dataclass(frozen=True, slots=True)
class Back:
    r"""What goes back through the chain: directions, and how much of each a task takes in each row.

    .. math:: \partial L_k / \partial h_b = \sum_m a_{kbm} c_{mb}

    Args:
        c: gradients along each direction, ``(M, B, ...)``.
        a: shares ``(K, B, M)``; ``None`` where each task is a direction of its own.
    """

    c: Tensor
    a: Tensor | None

    @staticmethod
    def of(at: Tensor) -> Back:
        """Begin with gradients at the waist ``(K, B, ...)``: the tasks' own, or unit vectors if fewer."""
        shares = at.flatten(2)
        if len(at) <= shares.shape[2]:
            return Back(at, None)
        units = torch.eye(shares.shape[2]).to(at)[:, None].expand(-1, shares.shape[1], -1)
        return Back(units.reshape(-1, *at.shape[1:]), shares)

    def of_tasks(self) -> Tensor:
        """Give the gradients of each task, ``(K, B, ...)``."""
        if self.a is None:
            return self.c
        c = self.c.flatten(2).transpose(0, 1)  # (B, M, ...)
        return (self.a.transpose(0, 1) @ c).transpose(0, 1).reshape(-1, *self.c.shape[1:])


@torch.no_grad()
def walk(graph: Graph, at: Tensor) -> tuple[list[tuple[Layer, Tensor]], list[tuple[nn.Parameter, Tensor]]]:
    """Go back from the waist through all of the chain.

    Args:
        graph: one with a chain.
        at: gradients of the tasks at the waist, ``(K, B, ...)``.

    Returns:
        the linear layers with the gradients of their outputs ``(K, B, o)``, and the other weights with their
        own, ``(K, p)``.
    """
    back, layers, weights = Back.of(at), [], []
    assert graph.chain is not None
    for number, (node, part) in enumerate(graph.chain, start=1):
        last = number == len(graph.chain)
        if isinstance(part, Layer):
            layers.append((part, back.of_tasks()))
            c = back.c if last else back.c @ part.weight.detach()
        elif part is not None:
            weights.append((part[0], _of_filters(node, back)))
            if part[1] is not None:
                weights.append((part[1], _of_bias(back)))
            c = back.c if last else _through(node, back.c)
        else:
            c = torch.stack([_one(node(each)) for each in back.c])
        back = Back(c, back.a)
    return layers, weights


def _one(found: Any) -> Tensor:
    gradient: Tensor = found if isinstance(found, Tensor) else next(g for g in found if g is not None)
    return gradient


def _through(node: Any, c: Tensor) -> Tensor:
    """Give the gradients of a convolution's input, by the transposed one: faster where it strides."""
    size, weight, given = node._saved_stride, node._saved_weight, node._saved_input
    around = [
        (n + 2 * p - d * (k - 1) - 1) % s  # pixels behind the last that a filter reaches
        for n, k, s, p, d in zip(
            given.shape[2:], weight.shape[2:], size, node._saved_padding, node._saved_dilation, strict=True
        )
    ]
    return torch.stack(
        [
            conv_transpose2d(
                each, weight, None, size, node._saved_padding, around, dilation=node._saved_dilation
            )
            for each in c
        ]
    )


def _of_bias(back: Back) -> Tensor:
    """Give the tasks' gradients of a convolution's bias, ``(K, o)``."""
    sums = back.c.flatten(3).sum(3)  # (M, B, o)
    return sums.sum(1) if back.a is None else torch.einsum("kbm,mbo->ko", back.a, sums)


def _of_filters(node: Any, back: Back) -> Tensor:
    """Give the tasks' gradients of a convolution's filters, ``(K, o i)``.

    Those along the directions are formed for each row and added up, or the tasks' own of all rows at once:
    what takes fewer multiplications.
    """
    x, c, a = node._saved_input, back.c.flatten(3), back.a  # c (M, B, o, L)
    many, rows, filters, places = c.shape
    columns = node._saved_weight[0].numel()
    tasks = many if a is None else len(a)
    by_row = a is not None and many * columns * (places + tasks) < tasks * places * (many + columns)
    if not by_row and a is not None:
        c, a = back.of_tasks().flatten(3), None
    total = c.new_zeros(tasks, filters * columns)
    size = max(1, PATCHES // (columns * places + (many * filters * columns if by_row else 0)))
    for some in torch.arange(rows).split(size):
        part = slice(int(some[0]), int(some[-1]) + 1)
        patches = unfold(
            x[part],
            node._saved_weight.shape[2:],
            node._saved_dilation,
            node._saved_padding,
            node._saved_stride,
        )  # (b, i, L)
        if a is not None:
            each = c[:, part].transpose(0, 1).flatten(1, 2) @ patches.mT  # (b, M o, i)
            total.addmm_(a[:, part].flatten(1), each.reshape(-1, filters * columns))
        else:
            flat = patches.transpose(1, 2).flatten(0, 1)  # (b L, i)
            for one, d in zip(total, c[:, part], strict=True):
                one.view(filters, columns).addmm_(d.transpose(0, 1).flatten(1), flat)
    return total
