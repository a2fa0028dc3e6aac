"""A sum of answers.

Shapes: ``B`` rows, ``F`` facts of a row, ``N`` slots, ``O`` outputs.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from .layer import Layer


@final
class Sums(Layer):
    """Answer a row by the sum of what its facts have in a table: a linear layer on what is there or not.

    Args:
        slots: of the table.
        outputs: of each.

    Example:
        >>> head = Sums(3, 1)
        >>> _ = head.table.copy_(torch.tensor([[5.0], [7.0], [1.0]]))
        >>> head(torch.tensor([[0, 1], [2, 2]])).tolist()
        [[12.0], [2.0]]
    """

    layer = "sums"
    table: Tensor
    offset: Tensor

    def __init__(self, slots: int, outputs: int) -> None:
        super().__init__()
        self.settings = {"slots": slots, "outputs": outputs}
        self.register_buffer("table", torch.zeros(slots, outputs))
        self.register_buffer("offset", torch.zeros(outputs))

    def forward(self, z: Tensor) -> Tensor:
        """Return the answers to facts ``(B, F)``, ``(B, O)``."""
        return self.table[z.long()].sum(1) + self.offset
