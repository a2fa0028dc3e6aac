"""Rows as they are, for learners without a network: numbers and pixels, words counted, or nothing at all.

Shapes: ``B`` rows, ``D`` numbers, ``V`` words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor

from ...tasks import X
from ...tasks.arrays import lit
from ...tasks.nouns import parts
from ...tasks.spelling import unspelled
from ..net import Backbone

SIDE = 32  # pixels of a side, at most


@final
class Raw(Backbone):
    """Flatten rows and standardise their numbers; images of more than 32 pixels a side are averaged down.

    Args:
        shape: of one row.
        unit: divide each row by the sum of its magnitudes first.
        columns: which of a table's columns are taken, by their numbers; ``None`` for all.

    Attributes:
        mean: of each number, 0 until it is set, ``(D,)``.
        spread: of each number, 1 until it is set, ``(D,)``.

    Example:
        >>> Raw([3, 64, 48])(torch.zeros(2, 3, 64, 48)).shape
        torch.Size([2, 3072])
    """

    use = "raw"
    mean: Tensor
    spread: Tensor

    def __init__(
        self, shape: Sequence[int], unit: bool = False, columns: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        told: dict[str, Any] = {"unit": True} if unit else {}
        if columns is not None:
            told["columns"] = list(columns)
        self.unit, self.columns, self.settings = unit, columns, {"shape": list(shape), **told}
        large = len(shape) == 3 and max(shape[1:]) > SIDE
        self.sides = (min(shape[1], SIDE), min(shape[2], SIDE)) if large else None
        self.width = math.prod([shape[0], *self.sides] if self.sides else shape)
        if columns is not None:
            self.width = len(columns)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("spread", torch.ones(self.width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the numbers of each row, ``(B, D)``."""
        x = lit(x).to(self.mean.dtype)
        if self.sides:
            x = F.adaptive_avg_pool2d(x, self.sides)
        x = x.flatten(1)
        if self.columns is not None:
            x = x[:, list(self.columns)]
        if self.unit:
            x = F.normalize(x, p=1, dim=1)
        return (x - self.mean) / self.spread


@final
class Words(Backbone):
    r"""Count the words of each row, weigh them by how rare they are, and scale the row to length 1.

    .. math:: z_w = n_w \, \mathrm{idf}_w / \lVert n \odot \mathrm{idf} \rVert

    Id 0 is padding, and ids from ``vocabulary`` on are left out.

    Args:
        vocabulary: ids, padding included.

    Attributes:
        idf: the weight of each word, 1 until it is set; 0 for a word that does not count, ``(V,)``.

    Example:
        >>> Words(4)(torch.tensor([[2, 2, 3, 0]])).tolist()
        [[0.0, 0.0, 0.894..., 0.447...]]
    """

    use = "tfidf"
    idf: Tensor

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.settings = {"vocabulary": vocabulary}
        self.width = vocabulary
        self.register_buffer("idf", torch.ones(vocabulary))

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighed counts of each row, ``(B, V)``."""
        return F.normalize(self.counts(x) * self.idf, dim=1)

    def counts(self, x: Tensor) -> Tensor:
        """Count how often each word occurs in each row, ``(B, V)``."""
        x = unspelled(x.flatten(1)).long().abs()
        there = (x > 0) & (x < self.width)
        counts = self.idf.new_zeros(x.shape[0], self.width)
        return counts.scatter_add_(1, x * there, there.to(counts.dtype))


@final
class Blank(Backbone):
    """See nothing of a row: one number, 0.

    Example:
        >>> Blank()({"ids": torch.ones(2, 3), "mask": torch.ones(2, 3)}).tolist()
        [[0.0], [0.0]]
    """

    use = "blank"
    settings: Mapping[str, Any] = {}
    width = 1

    def forward(self, x: X) -> Tensor:
        """Return zeros ``(B, 1)``."""
        first = next(iter(parts(x).values()))
        return torch.zeros(first.shape[0], 1, device=first.device)

    def places(self, x: X) -> Tensor:
        """Return zeros at each token ``(B, L, 1)``, or over the whole of an image ``(B, 1, 1, 1)``."""
        first = next(iter(parts(x).values()))
        places = (1, 1) if first.ndim == 4 else first.shape[1:2]
        return torch.zeros(len(first), *places, 1, device=first.device)


PLAIN: dict[str, type[Backbone]] = {kind.use: kind for kind in (Raw, Words, Blank)}
