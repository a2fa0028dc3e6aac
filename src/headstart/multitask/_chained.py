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
        c: gradients along each of ``M`` directions, ``(B, ...)``.
        a: shares ``(K, B, M)``; ``None`` where each task is a direction of its own.
    """

    c: list[Tensor]
    a: Tensor | None

    @staticmethod
    def of(at: Tensor) -> Back:
        """Begin with gradients at the waist ``(K, B, ...)``: the tasks' own, or unit vectors if fewer."""
        shares = at.flatten(2)
        if len(at) <= shares.shape[2]:
            return Back(list(at), None)
        units = torch.eye(shares.shape[2]).to(at)
        return Back([unit.view(at.shape[2:]).expand(at.shape[1:]) for unit in units], shares)

    def of_tasks(self) -> Tensor:
        """Give the gradients of each task, ``(K, B, ...)``."""
        if self.a is None:
            return torch.stack(self.c)
        c = torch.stack(self.c, 1)  # (B, M, ...)
        return (self.a.transpose(0, 1) @ c.flatten(2)).transpose(0, 1).reshape(-1, *self.c[0].shape)


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
    for node, part in graph.chain:
        last = node is graph.chain[-1][0]
        if isinstance(part, Layer):
            layers.append((part, back.of_tasks()))
            c = [] if last else [each @ part.weight.detach() for each in back.c]
        elif part is not None:
            weights.append((part[0], _of_filters(node, back)))
            if part[1] is not None:
                weights.append((part[1], _of_bias(back)))
            c = [] if last else _through(node, back.c)
        else:
            c = [_one(node(each)) for each in back.c]
        back = Back(c, back.a)
    return layers, weights


def _one(found: Any) -> Tensor:
    gradient: Tensor = found if isinstance(found, Tensor) else next(g for g in found if g is not None)
    return gradient


def _through(node: Any, c: list[Tensor]) -> list[Tensor]:
    """Give the gradients of a convolution's input, by the transposed one: faster where it strides."""
    weight, size, pad, wide = (
        getattr(node, f"_saved_{name}") for name in ("weight", "stride", "padding", "dilation")
    )
    sides = zip(node._saved_input.shape[2:], weight.shape[2:], size, pad, wide, strict=True)
    behind = [(n + 2 * p - d * (k - 1) - 1) % s for n, k, s, p, d in sides]  # pixels that no filter reaches
    return [conv_transpose2d(each, weight, None, size, pad, behind, dilation=wide) for each in c]


def _of_bias(back: Back) -> Tensor:
    """Give the tasks' gradients of a convolution's bias, ``(K, o)``."""
    sums = torch.stack([each.flatten(2).sum(2) for each in back.c])  # (M, B, o)
    return sums.sum(1) if back.a is None else torch.einsum("kbm,mbo->ko", back.a, sums)


def _of_filters(node: Any, back: Back) -> Tensor:
    """Give the tasks' gradients of a convolution's filters, ``(K, o i)``.

    Those along the directions are formed for each row and added up, or the tasks' own of all rows at once:
    what takes fewer multiplications.
    """
    x, weight, a = node._saved_input, node._saved_weight, back.a
    c, many, columns = [each.flatten(2) for each in back.c], len(back.c), weight[0].numel()  # c (B, o, L)
    rows, filters, places = c[0].shape
    tasks = many if a is None else len(a)
    if a is not None and many * columns * (places + tasks) > tasks * places * (many + columns):
        c, a = list(back.of_tasks().flatten(3)), None
    total = x.new_zeros(tasks, filters * columns)
    form = weight.shape[2:], node._saved_dilation, node._saved_padding, node._saved_stride
    each_row = columns * places + (0 if a is None else many * filters * (places + columns))
    for first in range(0, rows, size := max(1, PATCHES // each_row)):
        part = slice(first, first + size)
        patches = unfold(x[part], *form)  # (b, i, L)
        if a is not None:
            along = torch.stack([d[part] for d in c], 1).flatten(1, 2) @ patches.mT  # (b, M o, i)
            total.addmm_(a[:, part].flatten(1), along.reshape(-1, filters * columns))
        else:
            flat = patches.transpose(1, 2).flatten(0, 1)  # (b L, i)
            for one, d in zip(total, c, strict=True):
                one.view(filters, columns).addmm_(d[part].transpose(0, 1).flatten(1), flat)
    return total
