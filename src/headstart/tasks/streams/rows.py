"""The rows of one data set, in an order that is a new permutation in every epoch."""

from __future__ import annotations

import random as python_random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...errors import wrong
from ...maths import random
from ..arrays import lengths
from ..nouns import Inputs, Labelled, Lazy, collate, convert, join

AHEAD = 8  # the fewest rows that a worker loads at a time
POOL = 8  # batches whose texts are sorted by length together, of at most a quarter of an epoch


class Rows:
    """Read rows of one data set in an order that is a new permutation in every epoch.

    ``at(start, count)`` is a function of its arguments alone: row ``start`` of the endless
    sequence of epochs, and the ``count - 1`` rows behind it. What a dataset draws at random while it loads a
    row depends on the key and on the row's place in that sequence, not on who loads it.
    """

    def __init__(self, data: Labelled | Inputs | Lazy, index: Tensor, workers: int = 0) -> None:
        self.data, self.index, self.workers = data, index, workers
        self.count = len(index)
        self._order: tuple[tuple[int, ...], Tensor] | None = None
        self._ahead: _Ahead | None = None
        found = lengths(data.x) if data.held else None
        self._lengths = None if found is None else found.cpu()

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

    def alike(self, start: int, count: int, *key: int) -> Tensor:
        """Return row numbers as ``rows`` does, of texts in batches of like length, so that little is padding.

        The rows of a few batches are sorted by length, and come in these batches in an order that is drawn.
        Where an epoch has few batches, or ends among these, they are left as they are, so that each row comes
        once in an epoch.

        Args:
            start: a multiple of ``count``.
            count: rows of a batch, always the same.
            key: of the order.
        """
        many = min(POOL, self.count // (4 * count))
        if self._lengths is None or many < 2:
            return self.rows(start, count, *key)
        pool, turn = divmod(start // count, many)
        first, last = pool * many * count, (pool + 1) * many * count - 1
        if first // self.count != last // self.count:
            return self.rows(start, count, *key)
        some = self.rows(first, many * count, *key)
        some = some[self._lengths[some].argsort(stable=True)]
        return some.split(count)[torch.randperm(many, generator=random.generator(*key, "pool", pool))[turn]]

    def at(self, start: int, count: int, *key: int) -> Any:
        """Return the rows themselves: a slice of the tensors, or a collated batch of a dataset."""
        if self.data.held:
            return self.data.take(self.rows(start, count, *key))
        if not self.workers:
            numbers = self.rows(start, count, *key).tolist()
            return collate([_load(self.data.data, n, (*key, at)) for at, n in enumerate(numbers, start)])
        if self._ahead is None or (self._ahead.start, self._ahead.key) != (start, key):
            self._ahead = _Ahead(self.data.data, self.index, start, max(AHEAD, count), key, self.workers)
        return self._ahead.take(count)


class _Ahead:
    """Rows that workers load ahead, as many at a time as were first asked for, handed out in any number."""

    def __init__(
        self, data: Any, index: Tensor, start: int, size: int, key: tuple[int, ...], workers: int
    ) -> None:
        self.start, self.key = start, key
        self._loader = iter(
            DataLoader(
                _Placed(data, key),
                batch_sampler=_Plan(index, start, size, key),
                num_workers=workers,
                collate_fn=collate,
                generator=torch.Generator(),
            )
        )
        self._left: Any = None

    def take(self, count: int) -> Any:
        """Hand out the next rows."""
        while self._left is None or len(self._left) < count:
            more = next(self._loader)
            self._left = more if self._left is None else _joined(self._left, more)
        self.start += count
        if len(self._left) == count:
            whole, self._left = self._left, None
            return whole
        given = convert(self._left, lambda t: t[:count])
        self._left = convert(self._left, lambda t: t[count:])
        return given


def _joined(one: Any, other: Any) -> Any:
    x = join(one.x, other.x)
    return Inputs(x) if isinstance(one, Inputs) else Labelled(x, torch.cat([one.y, other.y]))


class _Placed(Dataset[Any]):
    """A dataset whose rows are asked for by their place in the sequence and their number."""

    def __init__(self, data: Any, key: tuple[int, ...]) -> None:
        self.data, self.key = data, key

    def __getitem__(self, asked: tuple[int, int]) -> Any:
        place, number = asked
        return _load(self.data, number, (*self.key, place))


class _Plan:
    """The endless sequence of places and row numbers of steps of equal size, for a worker loader."""

    def __init__(self, index: Tensor, start: int, count: int, key: tuple[int, ...]) -> None:
        # Rows of its own: in a cycle with the loader, the loader's workers would outlive it for seconds.
        self.rows = Rows(Inputs(index), index)
        self.start, self.count, self.key = start, count, key

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        start = self.start
        while True:
            yield list(enumerate(self.rows.rows(start, self.count, *self.key).tolist(), start))
            start += self.count


def _load(data: Any, number: int, key: Sequence[int]) -> Any:
    """Load a row with the random states that its key gives."""
    with _drawn(key):
        return data[number]


@contextmanager
def _drawn(key: Sequence[int]) -> Iterator[None]:
    """Seed what datasets draw from (PyTorch, NumPy, Python) for a while, and put it back afterwards."""
    seed = random.generator(*key, "row").initial_seed()
    ours, numpys, pythons = torch.get_rng_state(), numpy.random.get_state(), python_random.getstate()  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    numpy.random.seed(seed % 2**32)  # noqa: NPY002 (the states that others draw from)
    python_random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(ours)
        numpy.random.set_state(numpys)  # noqa: NPY002
        python_random.setstate(pythons)


def labelled_rows(data: Labelled | Lazy, name: str) -> Tensor:
    """Number the rows that have a label; ``ValueError`` where none has."""
    index = data.present().nonzero().flatten()
    if not len(index):
        raise wrong(f"training rows of task {name!r}", expected="at least one with a label", found="none")
    return index
