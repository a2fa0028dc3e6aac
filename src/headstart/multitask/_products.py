"""Inner products of the gradients of several tasks.

Shapes: ``K`` tasks, ``p`` parameters of one layer, ``B`` rows, a linear layer with
``i`` inputs and ``o`` outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ._graph import Layer

BLOCKS, BLOCK = 4, 64  # of rows, most of them, and least rows in one
DENSE = 1.5  # rows per input of a layer, up to which inner products cost less than gradients of its weights


def products(layer: Layer, d: Tensor, owners: Tensor | None, tasks: int) -> Tensor:
    """Give the inner products ``(K, K)`` of the tasks' gradients of a layer's weights."""
    x = layer.x
    if owners is not None:
        return _products_of_rows(layer, d, nn.functional.one_hot(owners.to(d.device), tasks).to(d))
    if len(x) <= DENSE * x.shape[1]:
        return _products_of_outputs(layer, d)
    of_weights = (d.mT @ x).flatten(1)  # (K, o i)
    total = of_weights @ of_weights.mT
    if layer.bias is not None:
        of_bias = d.sum(1)
        total = total + of_bias @ of_bias.mT
    return total


def _products_of_outputs(layer: Layer, d: Tensor) -> Tensor:
    """Give the inner products ``(K, K)`` where tasks share their rows."""
    total = d.new_zeros(len(d), len(d))
    for one, rest, products in _pairs(layer, d.shape[1]):
        total += d[:, one].flatten(1) @ (products @ d[:, rest]).flatten(1).mT
    return total + total.mT


def _products_of_rows(layer: Layer, d: Tensor, task: Tensor) -> Tensor:
    """Give the inner products ``(K, K)`` where each row is of one task ``(B, K)``."""
    total = task.new_zeros(task.shape[1], task.shape[1])
    for one, rest, products in _pairs(layer, len(d)):
        total += task[one].mT @ products.mul_(d[one] @ d[rest].mT) @ task[rest]
    return total + total.mT


def _pairs(layer: Layer, rows: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """Give the inner products of a layer's inputs, the 1 that multiplies the bias among them, each pair once.

    Blocks of rows meet those from theirs on, and themselves by half: the sum and its transpose are all.
    """
    size = max(BLOCK, -(-rows // BLOCKS))
    for first in range(0, rows, size):
        one, rest = slice(first, first + size), slice(first, None)
        products = layer.x[one] @ layer.x[rest].mT
        if layer.bias is not None:
            products.add_(1)
        products[:, : len(products)] *= 0.5
        yield one, rest, products


def dense(gradient: Tensor) -> Tensor:
    """Write the gradient of a sparse embedding out."""
    return gradient.to_dense() if gradient.is_sparse else gradient


def touched(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Give gradients as dense ones; where all are sparse, of the vectors alone that one of them reaches."""
    if not all(g.is_sparse for g in gradients):
        return [dense(g) for g in gradients]
    parts = [g.coalesce() for g in gradients]
    rows, place = torch.cat([g.indices()[0] for g in parts]).unique(return_inverse=True)
    found, values = [], [g.values() for g in parts]
    for at, value in zip(place.split([len(v) for v in values]), values, strict=True):
        found.append(value.new_zeros(len(rows), *value.shape[1:]).index_copy_(0, at, value))
    return found


def gramian(columns: list[tuple[Tensor | None, ...]], losses: Sequence[Tensor]) -> Tensor:
    """Sum the Gramians ``(K, K)`` of weights, each with the gradients of the tasks that reach it."""
    dtype = torch.promote_types(losses[0].dtype, torch.float32)
    total = torch.zeros(len(losses), len(losses), dtype=dtype, device=losses[0].device)
    for gradients in columns:
        tasks = [k for k, g in enumerate(gradients) if g is not None]
        if tasks:
            there = touched([g for g in gradients if g is not None])
            jacobian = torch.stack([g.flatten() for g in there]).to(total)  # (k, p)
            at = torch.tensor(tasks, device=total.device)
            total[at[:, None], at] += jacobian @ jacobian.T
    return total
