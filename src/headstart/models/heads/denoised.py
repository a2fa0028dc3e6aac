"""Numbers of a row, and what they are denoised to, one layer upon another.

Shapes: ``B`` rows, ``D`` numbers, ``K`` numbers that are denoised, ``L`` layers.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from .layer import Layer


@final
class Denoised(Layer):
    r"""Standardise a row, and append what each of several denoising layers makes of it.

    .. math:: [z, h_1, \dots, h_L], \qquad h_l = \tanh(W_l [h_{l-1}, 1]), \quad h_0 = z, \qquad
        z = (x - m) / s

    Args:
        columns: numbers of a row, ``D``.
        kept: numbers that a layer gives, ``K``.
        layers: ``L``, at least 1.
        present: take 1 for a number other than 0 first.

    Attributes:
        mean: ``m``, 0 until it is set, ``(D,)``.
        spread: ``s``, 1 until it is set, ``(D,)``.
        first: of the first layer, ``(K, D + 1)``; the last column is for the constant.
        rest: of the others, ``(L - 1, K, K + 1)``.

    Example:
        >>> Denoised(3, 2, 4)(torch.zeros(5, 3)).shape
        torch.Size([5, 11])
    """

    layer = "denoised"
    mean: Tensor
    spread: Tensor
    first: Tensor
    rest: Tensor

    def __init__(self, columns: int, kept: int, layers: int, present: bool = False) -> None:
        super().__init__()
        self.settings = {"columns": columns, "kept": kept, "layers": layers, "present": present}
        self.present, self.width = present, columns + kept * layers
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("spread", torch.ones(columns))
        self.register_buffer("first", torch.zeros(kept, columns + 1))
        self.register_buffer("rest", torch.zeros(layers - 1, kept, kept + 1))

    def standardised(self, x: Tensor) -> Tensor:
        """Return what the layers start from, ``(B, D)``."""
        return (x != 0).to(x.dtype) if self.present else (x - self.mean) / self.spread

    def forward(self, x: Tensor) -> Tensor:
        """Return the standardised numbers and those of each layer, ``(B, D + K L)``."""
        h = self.standardised(x)
        made = [h]
        for weights in (self.first, *self.rest):
            h = torch.addmm(weights[:, -1], h, weights[:, :-1].T).tanh()
            made.append(h)
        return torch.cat(made, 1)
