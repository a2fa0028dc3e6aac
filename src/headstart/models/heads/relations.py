"""A learned comparison of rows with classes.

Shapes: ``B`` rows, ``D`` features, ``O`` classes, ``H`` hidden units.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import linear

from .layer import Layer


@final
class Relations(Layer):
    r"""Score each pair of a row and a class by a small network: :math:`w^\top \max(0, A [z, c_k] + a) + b`.

    Args:
        columns: features of a row.
        outputs: classes.
        hidden: units.

    Example:
        >>> Relations(3, 5, 4)(torch.zeros(2, 3)).shape
        torch.Size([2, 5])
    """

    layer = "relations"
    means: Tensor
    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor

    def __init__(self, columns: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.settings = {"columns": columns, "outputs": outputs, "hidden": hidden}
        self.register_buffer("means", torch.zeros(outputs, columns))
        self.register_buffer("inner", torch.zeros(hidden, 2 * columns))
        self.register_buffer("inner_bias", torch.zeros(hidden))
        self.register_buffer("outer", torch.zeros(1, hidden))
        self.register_buffer("outer_bias", torch.zeros(1))

    def forward(self, z: Tensor) -> Tensor:
        """Return the scores, ``(B, O)``."""
        rows, classes = self.inner.tensor_split(2, 1)  # the part for a row, and that for a class
        hidden = ((z @ rows.T)[:, None] + self.means @ classes.T + self.inner_bias).relu()  # (B, O, H)
        return linear(hidden, self.outer, self.outer_bias)[..., 0]
