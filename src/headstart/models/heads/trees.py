"""Sums of decision trees.

Shapes: ``B`` rows, ``D`` numbers, ``T`` trees, ``M`` nodes of the largest tree, ``O`` outputs.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from .layer import Layer


@final
class Trees(Layer):
    """Walk each row down all trees and sum the values of the leaves.

    Tree ``t`` adds to output ``t % O``. A row goes left where its number is at most the threshold; a leaf
    is its own child.

    Args:
        trees: how many.
        nodes: of the largest tree.
        outputs: numbers of an answer.
        depth: of the deepest tree.

    Example:
        >>> Trees(4, 3, 2, depth=1)(torch.zeros(5, 6)).shape
        torch.Size([5, 2])
    """

    layer = "trees"
    column: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    value: Tensor
    start: Tensor

    def __init__(self, trees: int, nodes: int, outputs: int, depth: int) -> None:
        super().__init__()
        self.settings = {"trees": trees, "nodes": nodes, "outputs": outputs, "depth": depth}
        self.outputs, self.depth = outputs, depth
        for name in ("column", "left", "right"):
            self.register_buffer(name, torch.zeros(trees, nodes, dtype=torch.long))
        for name in ("threshold", "value"):
            self.register_buffer(name, torch.zeros(trees, nodes))
        self.register_buffer("start", torch.zeros(outputs))

    def forward(self, z: Tensor) -> Tensor:
        """Return the sums, ``(B, O)``."""
        tree = torch.arange(len(self.column), device=z.device)
        node = z.new_zeros(z.shape[0], len(tree), dtype=torch.long)
        for _ in range(self.depth):
            low = z.gather(1, self.column[tree, node]) <= self.threshold[tree, node]
            node = torch.where(low, self.left[tree, node], self.right[tree, node])
        return self.value[tree, node].unflatten(1, (-1, self.outputs)).sum(1) + self.start
