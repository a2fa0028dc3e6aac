"""The class of the nearest row.

Shapes: ``B`` rows, ``N`` rows that are kept, ``D`` features, ``O`` classes.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ...maths import squared_distances
from .layer import Layer


@final
class Nearest(Layer):
    r"""Answer by the nearest row of each class.

    .. math:: - \min_{i: y_i = k} \lVert z - z_i \rVert^2

    A class without rows gets minus infinity.

    Args:
        rows: how many are kept.
        outputs: classes.
        columns: features of a row.

    Example:
        >>> head = Nearest(2, 2, 1)
        >>> _ = head.rows.copy_(torch.tensor([[0.0], [3.0]])), head.members.copy_(torch.eye(2))
        >>> head(torch.tensor([[1.0]])).tolist()
        [[-1.0, -4.0]]
    """

    layer = "nearest"
    rows: Tensor
    members: Tensor

    def __init__(self, rows: int, outputs: int, columns: int) -> None:
        super().__init__()
        self.settings = {"rows": rows, "outputs": outputs, "columns": columns}
        self.register_buffer("rows", torch.zeros(rows, columns))
        self.register_buffer("members", torch.zeros(rows, outputs))  # 1 where a row is of a class, else 0

    def forward(self, z: Tensor) -> Tensor:
        """Return minus the squared distances, ``(B, O)``."""
        distances = squared_distances(self.rows, z).T  # (B, N)
        strangers = self.members.T == 0  # (O, N)
        return -distances[:, None].masked_fill(strangers, torch.inf).amin(2)
