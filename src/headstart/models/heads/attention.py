"""Answers weighed by how much rows look alike.

Shapes: ``B`` rows, ``N`` rows that are kept, ``D`` features, ``O`` classes.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ...maths import unit
from .layer import Layer


@final
class Attention(Layer):
    r"""Let rows vote for their classes, each with the softmax of its cosine.

    .. math:: \log \sum_{i: y_i = k} a_i, \quad a = \operatorname{softmax}_i(s \cos(z, z_i))

    A class without rows gets a log probability near that of 0.

    Args:
        rows: how many are kept.
        outputs: classes.
        columns: features of a row.
        scale: :math:`s`, above 0.

    Example:
        >>> head = Attention(2, 2, 2, 10.0)
        >>> _ = head.rows.copy_(torch.eye(2)), head.members.copy_(torch.eye(2))
        >>> head(torch.tensor([[3.0, 0.0]])).exp().argmax(1)
        tensor([0])
    """

    layer = "attention"
    rows: Tensor
    members: Tensor

    def __init__(self, rows: int, outputs: int, columns: int, scale: float) -> None:
        super().__init__()
        self.settings = {"rows": rows, "outputs": outputs, "columns": columns, "scale": scale}
        self.scale = scale
        self.register_buffer("rows", torch.zeros(rows, columns))
        self.register_buffer("members", torch.zeros(rows, outputs))  # 1 where a row is of a class, else 0

    def forward(self, z: Tensor) -> Tensor:
        """Return log probabilities, ``(B, O)``."""
        cosines = unit(z) @ unit(self.rows).T
        votes = (self.scale * cosines).softmax(1) @ self.members
        return votes.clamp(min=torch.finfo(z.dtype).tiny).log()
