"""Several heads that answer together.

Shapes: ``B`` rows, ``O`` outputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor, nn


@final
class Average(nn.Module):
    """Average the outputs of several heads; of classes that is the geometric mean of their probabilities.

    Args:
        parts: heads that read the same rows and give as many outputs.

    Example:
        >>> head = Average([nn.Linear(3, 2), nn.Linear(3, 2)])
        >>> head(torch.zeros(4, 3)).shape
        torch.Size([4, 2])
    """

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, z: Tensor) -> Tensor:
        """Return the mean of the outputs, ``(B, O)``."""
        return torch.stack([part(z) for part in self.parts]).mean(0)
