"""Columns that name users, items and the like: each has a number, by which a backbone finds its vector.

Shapes: ``N`` rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .cells import coded
from .written import spelled


@dataclass(frozen=True)
class Ids:
    """A column of ids: their numbers from 1 on; 0 for one that train rows did not have, or that is missing.

    Args:
        ids: of the train rows, in the order of their numbers.
    """

    ids: tuple[str, ...]

    @classmethod
    def fit(cls, values: Sequence[Any], train: Tensor) -> Ids:
        """Number the ids of train rows, in the order of their text."""
        found = coded(values)
        counts = found.counts(train.numpy())
        return cls(tuple(sorted(spelled(v) for v, n in zip(found.values, counts, strict=True) if n)))

    @property
    def width(self) -> int:
        """The number of features."""
        return 1

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"ids": list(self.ids)}

    def _numbers(self, values: Sequence[Any]) -> list[int]:
        place = {name: number for number, name in enumerate(self.ids, 1)}
        return [place.get(spelled(v), 0) for v in values]

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make numbers ``(N, 1)``."""
        found = coded(values)
        return torch.from_numpy(found.spread(self._numbers(found.values), 0, np.float32))[:, None]

    def remark(self, values: Sequence[Any]) -> str:
        """Say nothing: ids that are new are what a recommender meets every day."""
        return ""
