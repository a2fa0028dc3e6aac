"""The rows of one data set, in an order that is a new permutation in every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ...errors import wrong
from ...maths import random
from ..nouns import Inputs, Labelled, Lazy, collate


class Rows:
    """Read rows of one data set in an order that is a new permutation in every epoch.

    ``at(start, count)`` is a function of its arguments alone: row ``start`` of the endless
    sequence of epochs, and the ``count - 1`` rows behind it.
    """

    def __init__(self, data: Labelled | Inputs | Lazy, index: Tensor, workers: int = 0) -> None:
        self.data, self.index, self.workers = data, index, workers
        self.count = len(index)
        self._order: tuple[tuple[int, ...], Tensor] | None = None
        self._ahead: tuple[tuple[int, ...], Iterator[Any]] | None = None

    def _permutation(self, *key: int) -> Tensor:
        if self._order is None or self._order[0] != key:
            self._order = key, self.index[torch.randperm(self.count, generator=random.generator(*key))]
        return self._order[1]

    def rows(self, start: int, count: int, *key: int) -> Tensor:
        """Return ``count`` row numbers from place ``start`` of the endless sequence."""
        epoch, place = divmod(start, self.count)
        here = self._permutation(*key, epoch)[place : place + count]
        left = place + count - self.count  # for the next epoch
        return here if left <= 0 else torch.cat([here, self.rows(start + count - left, left, *key)])

    def at(self, start: int, count: int, *key: int) -> Any:
        """Return the rows themselves: a slice of the tensors, or a collated batch of a dataset."""
        if self.data.held or not self.workers:
            return self.data.take(self.rows(start, count, *key))
        here = (start, count, *key)
        if self._ahead is None or self._ahead[0] != here:
            loader = DataLoader(
                self.data.data,
                batch_sampler=_Plan(self.index, start, count, key),
                num_workers=self.workers,
                collate_fn=collate,
                generator=torch.Generator(),
            )
            self._ahead = here, iter(loader)
        batch = next(self._ahead[1])
        self._ahead = (start + count, count, *key), self._ahead[1]
        return batch


class _Plan:
    """The endless sequence of row numbers of steps of equal size, for a worker loader."""

    def __init__(self, index: Tensor, start: int, count: int, key: tuple[int, ...]) -> None:
        # Rows of its own: in a cycle with the loader, the loader's workers would outlive it for seconds.
        self.rows = Rows(Inputs(index), index)
        self.start, self.count, self.key = start, count, key

    def __iter__(self) -> Iterator[list[int]]:
        start = self.start
        while True:
            yield self.rows.rows(start, self.count, *self.key).tolist()
            start += self.count


def labelled_rows(data: Labelled | Lazy, name: str) -> Tensor:
    """Number the rows that have a label; ``ValueError`` where none has."""
    index = data.present().nonzero().flatten()
    if not len(index):
        raise wrong(f"training rows of task {name!r}", expected="at least one with a label", found="none")
    return index
