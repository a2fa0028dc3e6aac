"""A table of answers.

Shapes: ``B`` rows, ``N`` rows of the table, ``O`` outputs.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from .layer import Layer


@final
class Lookup(Layer):
    """Answer a row by its number.

    Args:
        rows: of the table; the first one answers numbers beyond it.
        outputs: of each.

    Example:
        >>> head = Lookup(2, 1)
        >>> _ = head.table.copy_(torch.tensor([[5.0], [7.0]]))
        >>> head(torch.tensor([[1], [9]])).tolist()
        [[7.0], [5.0]]
    """

    layer = "lookup"
    table: Tensor

    def __init__(self, rows: int, outputs: int) -> None:
        super().__init__()
        self.settings = {"rows": rows, "outputs": outputs}
        self.register_buffer("table", torch.zeros(rows, outputs))

    def forward(self, z: Tensor) -> Tensor:
        """Return the answers to numbers ``(B, 1)``, ``(B, O)``."""
        at = z[:, 0].long()
        return self.table[torch.where(at < len(self.table), at, 0)]
