"""A linear layer of the direction of features.

Shapes: ``B`` rows, ``D`` features, ``O`` outputs.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import linear

from ...maths import unit
from .layer import Layer


@final
class Sphere(Layer):
    r"""Bring features to length 1, seen from a centre, and then compute linear outputs.

    .. math:: W \frac{z - m}{\lVert z - m \rVert} + b

    With rows of length :math:`s` and no bias these are cosines times :math:`s`.

    Args:
        columns: features of a row.
        outputs: numbers of an answer.

    Example:
        >>> head = Sphere(2, 1)
        >>> _ = head.weight.copy_(torch.tensor([[10.0, 0.0]]))
        >>> head(torch.tensor([[3.0, 4.0]])).tolist()
        [[6.0]]
    """

    layer = "sphere"
    centre: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, columns: int, outputs: int) -> None:
        super().__init__()
        self.settings = {"columns": columns, "outputs": outputs}
        self.register_buffer("centre", torch.zeros(columns))
        self.register_buffer("weight", torch.zeros(outputs, columns))
        self.register_buffer("bias", torch.zeros(outputs))

    def forward(self, z: Tensor) -> Tensor:
        """Return the outputs, ``(B, O)``."""
        return linear(unit(z - self.centre), self.weight, self.bias)
