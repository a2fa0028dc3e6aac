"""Endless streams of batches that any step of can be computed again.

A stream draws one seed from the caller's generator when it is made and nothing afterwards. What it
gives at a step is a function of that seed and of the step, so its whole state is a few integers
(JSON), resuming is exact and costs nothing, and the global random state is never touched.

Shapes: ``B`` rows, ``T`` episodes, ``S`` support rows, ``Q`` query rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..errors import unknown, wrong
from .finite import finite
from .kinds import known
from .nouns import Batch, Episodes, Inputs, Labelled, Lazy, Shift, Task, collate, join, take

SAMPLINGS = ("equal", "proportional", "temperature", "annealed", "alternate")


def positive(name: str, value: int) -> int:
    """Return ``value``, or raise ``ValueError`` where it is not a whole number above zero."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise wrong(f"`{name}`", expected="a whole number of at least 1", found=repr(value))
    return value


def _generator(*key: int) -> torch.Generator:
    """Make a generator from several integers; distinct keys give unrelated numbers (splitmix64)."""
    state = 0
    for part in key:
        state = (state + part + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return torch.Generator().manual_seed(state >> 1)


class Stream(ABC):
    """Iterate over batches for ever; ``state_dict`` and ``load_state_dict`` resume exactly."""

    def __init__(self, generator: torch.Generator) -> None:
        self._seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        self._step = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = self._batch()
        self._step += 1
        return batch

    @abstractmethod
    def _batch(self) -> Batch:
        """Give the batch of the step that is due."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain integers, fit for JSON."""
        return {"seed": self._seed, "step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the step that ``state`` was taken at."""
        self._seed, self._step = state["seed"], state["step"]


class _Rows:
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
            self._order = key, self.index[torch.randperm(self.count, generator=_generator(*key))]
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
        self.rows = _Rows(Inputs(index), index)
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


def _names(tasks: Sequence[Task]) -> None:
    names = [t.name for t in tasks]
    if not names or len(set(names)) != len(names):
        raise wrong("`tasks`", expected="at least one task, with distinct names", found=names)


def _tables(group: Sequence[Task], reader: _Rows) -> dict[str, Labelled]:
    """Find out, once for all steps, whether anything is missing in the rows of tasks that share them."""
    sound = reader.data.held and finite(reader.data.x)
    return {
        t.name: Labelled(t.train.x, t.train.y, complete=sound and bool(known(t.train.y[reader.index]).all()))
        for t in group
        if t.train.held
    }


@final
class _Batches(Stream):
    def __init__(
        self,
        tasks: Sequence[Task],
        size: int,
        sampling: str,
        steps: int | None,
        workers: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(generator)
        _names(tasks)
        self.tasks, self.size = list(tasks), positive("size", size)
        self.scheme, self.power, self.steps = _sampling(sampling, steps)
        # Tasks that label the very same rows (one table, many label columns) are drawn together.
        groups: dict[int, list[Task]] = {}
        for task in self.tasks:
            shared = task.train.x if task.train.held else task
            groups.setdefault(id(shared), []).append(task)
        self.groups = list(groups.values())
        self.readers = [
            _Rows(g[0].train, torch.cat([labelled_rows(t.train, t.name) for t in g]).unique(), workers)
            for g in self.groups
        ]
        self.tables = [_tables(g, r) for g, r in zip(self.groups, self.readers, strict=True)]
        self.most = [min(size, r.count) for r in self.readers]
        self._taken = [0] * len(self.groups)

    def _counts(self) -> list[int]:
        """How many rows each group gives at this step."""
        if self.scheme == "equal":
            return self.most
        if self.scheme == "alternate":
            turn = self._step % len(self.most)
            return [most if k == turn else 0 for k, most in enumerate(self.most)]
        sizes = [r.count for r in self.readers]
        power = self.power
        if self.scheme == "annealed":
            power = 1 - 0.8 * min(1.0, self._step / max(1, self.steps - 1))
        odds = torch.tensor([float(n) for n in sizes]) ** power
        drawn = torch.multinomial(
            odds, self.size * len(sizes), replacement=True, generator=_generator(self._seed, 1, self._step)
        )
        return [min(c, n) for c, n in zip(drawn.bincount(minlength=len(sizes)).tolist(), sizes, strict=True)]

    def _batch(self) -> dict[str, Labelled]:
        batch: dict[str, Labelled] = {}
        for k, count in enumerate(self._counts()):
            if not count:
                continue
            reader, place = self.readers[k], (self._taken[k], count, self._seed, 0, k)
            if reader.data.held:
                index = reader.rows(*place)
                x = take(reader.data.x, index)
                for name, table in self.tables[k].items():
                    batch[name] = Labelled(x, table.y[index], table.complete)
            else:
                batch[self.groups[k][0].name] = reader.at(*place)
            self._taken[k] += count
        return batch

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"taken": list(self._taken)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._taken = list(state["taken"])


def _sampling(sampling: str, steps: int | None) -> tuple[str, float, int]:
    scheme, _, value = sampling.partition(":")
    if scheme not in SAMPLINGS:
        raise unknown("`sampling`", sampling, SAMPLINGS)
    if scheme == "temperature":
        try:
            power = float(value)
        except ValueError:
            power = -1
        if not 0 <= power <= 1:
            raise wrong("`sampling`", expected='"temperature:P" with P in [0, 1]', found=f'"{sampling}"')
        return scheme, power, 0
    if scheme == "annealed":
        if steps is None:
            raise wrong("`steps`", expected='given with sampling="annealed"', found="None")
        return scheme, 1.0, positive("steps", steps)
    return scheme, 1.0, 0


def batches(
    tasks: Sequence[Task],
    size: int,
    *,
    sampling: str = "equal",
    steps: int | None = None,
    workers: int = 0,
    generator: torch.Generator,
) -> Stream:
    r"""Give labelled batches of one or several tasks, keyed by task name, for ever.

    A task's rows come in a new random order in every epoch. Tasks that label the very same tensor
    (one table, many label columns) are drawn together. A task that gives no row is absent.

    .. math:: p_k \propto n_k^{\alpha}

    with :math:`\alpha = 1` for ``"proportional"``, :math:`P` for ``"temperature:P"``, and falling
    from 1 to 0.2 over ``steps`` for ``"annealed"``; ``size * K`` rows are shared out among the K
    tasks at each step. ``"equal"`` gives ``size`` rows of every task, ``"alternate"`` one task a
    step, in turn.

    Args:
        tasks: tasks with distinct names.
        size: rows per task and step, at least 1; a task with fewer rows gives all it has.
        sampling: ``"equal"``, ``"proportional"``, ``"temperature:P"``, ``"annealed"``, ``"alternate"``.
        steps: length of the annealing.
        workers: processes that load a map-style dataset; tensors are gathered in place.
        generator: one number is drawn from it.

    Raises:
        ValueError: for an unknown sampling, a size below 1, a task without labelled rows.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.randn(8, 2), torch.arange(8) % 2)
        >>> stream = batches([Task("coins", Multiclass(2), rows)], 4, generator=torch.Generator())
        >>> next(stream)["coins"].x.shape
        torch.Size([4, 2])

    References:
        Annealed sampling: Stickland & Murray (ICML 2019), section 4.1, https://arxiv.org/abs/1902.02671
    """
    return _Batches(tasks, size, sampling, steps, workers, generator)


@final
class _Shifted(Stream):
    def __init__(self, task: Task, size: int, workers: int, generator: torch.Generator) -> None:
        super().__init__(generator)
        count = 0 if task.unlabelled is None else len(task.unlabelled)
        if task.unlabelled is None or not count:
            raise wrong(
                f"`unlabelled` of task {task.name!r}",
                expected="rows from where the model will run",
                found="None" if task.unlabelled is None else "no row",
                hint="pass Task(..., unlabelled=Inputs(x))",
            )
        self.size = positive("size", size)
        self.source = _Rows(task.train, labelled_rows(task.train, task.name), workers)
        self.target = _Rows(task.unlabelled, torch.arange(count), workers)

    def _batch(self) -> Shift:
        s, t = (min(self.size, r.count) for r in (self.source, self.target))
        source = self.source.at(self._step * s, s, self._seed, 0)
        target = self.target.at(self._step * t, t, self._seed, 1)
        return Shift(source, Inputs(target.x))  # whatever a dataset gives, labels stay behind


def shifted(task: Task, size: int, *, workers: int = 0, generator: torch.Generator) -> Stream:
    """Give labelled source rows (``task.train``) beside target rows without labels (``task.unlabelled``).

    Args:
        task: a task with ``unlabelled`` rows.
        size: rows from each side and step, at least 1.
        workers: processes that load a map-style dataset.
        generator: one number is drawn from it.

    Raises:
        ValueError: if the task has no unlabelled rows.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> photos = Task("photos", Multiclass(2), Labelled(torch.randn(8, 2), torch.arange(8) % 2),
        ...               unlabelled=Inputs(torch.randn(6, 2)))
        >>> batch = next(shifted(photos, 4, generator=torch.Generator()))
        >>> len(batch.source), len(batch.target)
        (4, 4)
    """
    return _Shifted(task, size, workers, generator)


@final
class _Episodes(Stream):
    def __init__(
        self,
        tasks: Sequence[Task],
        ways: int,
        shots: int,
        queries: int,
        per_step: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(generator)
        _names(tasks)
        self.shots, self.queries = positive("shots", shots), positive("queries", queries)
        self.per_step = positive("per_step", per_step)
        self.tables: list[tuple[Labelled, Tensor, Tensor]] = []
        self.classes = tasks[0].kind.exclusive
        if any(t.kind.exclusive != self.classes for t in tasks):
            kinds = sorted({t.kind.name for t in tasks})
            raise wrong("`tasks`", expected="all with classes, or none", found=kinds)
        self.ways = positive("ways", ways) if self.classes else 0
        for task in tasks:
            self.tables.append(self._table(task))

    def _table(self, task: Task) -> tuple[Labelled, Tensor, Tensor]:
        """List the rows of each class, padded: row numbers ``(C, n)`` and counts ``(C,)``."""
        if not task.train.held:
            raise wrong(
                f"training rows of task {task.name!r}",
                expected="in tensors",
                found="a dataset",
                error=TypeError,
            )
        need, y = self.shots + self.queries, task.train.y
        present = labelled_rows(task.train, task.name)
        if not self.classes:
            groups = [present]
        else:
            groups = [present[y[present] == c] for c in y[present].unique()]
            if len(groups) < self.ways:
                raise wrong(
                    "`ways`",
                    expected=f"at most {len(groups)}, the classes of {task.name!r}",
                    found=self.ways,
                )
        least = min(groups, key=len)
        if len(least) < need:
            where = task.name
            if self.classes:
                label = int(y[least[0]])
                where = f'the smallest class ("{task.kind.classes[label]}")'
            raise wrong(
                "`shots + queries`",
                expected=f"at most {len(least)}, the rows of {where}",
                found=need,
                hint="lower `queries` or drop the small classes",
            )
        table = torch.zeros(len(groups), max(map(len, groups)), dtype=torch.long)
        for row, group in zip(table, groups, strict=True):
            row[: len(group)] = group
        return task.train, table, torch.tensor([len(g) for g in groups])

    def _batch(self) -> Episodes:
        g = _generator(self._seed, self._step)
        which = torch.randint(len(self.tables), (self.per_step,), generator=g)
        parts = [self._draw(k, int((which == k).sum()), g) for k in which.unique().tolist()]
        support, query = (_stack([p[side] for p in parts]) for side in (0, 1))
        return Episodes(support, query, self.ways)

    def _draw(self, k: int, count: int, g: torch.Generator) -> tuple[Labelled, Labelled]:
        """Draw ``count`` episodes of one task at once."""
        data, table, sizes = self.tables[k]
        ways, need = max(1, self.ways), self.shots + self.queries
        # The first `ways` places of a random order of the classes, then the same for their rows.
        picked = torch.rand(count, len(table), generator=g).topk(ways, dim=1).indices  # (T, N)
        keys = torch.rand(count, ways, table.shape[1], generator=g)
        keys.masked_fill_(torch.arange(table.shape[1]) >= sizes[picked][..., None], -1)
        rows = table[picked].gather(2, keys.topk(need, dim=2).indices)  # (T, N, shots + queries)
        support, query = (part.flatten(1) for part in rows.split([self.shots, self.queries], dim=2))
        if not self.classes:
            return data.take(support), data.take(query)
        label = torch.arange(ways).repeat_interleave
        return (
            Labelled(take(data.x, support), label(self.shots).expand(count, -1)),
            Labelled(take(data.x, query), label(self.queries).expand(count, -1)),
        )


def _stack(parts: list[Labelled]) -> Labelled:
    if len(parts) == 1:
        return parts[0]
    return Labelled(join(*(p.x for p in parts)), torch.cat([p.y for p in parts]))


def episodes(
    tasks: Task | Sequence[Task],
    *,
    ways: int = 5,
    shots: int,
    queries: int,
    per_step: int,
    generator: torch.Generator,
) -> Stream:
    """Cut few-shot problems from one task with many classes, or from many small tasks, for ever.

    An episode takes ``ways`` classes of one task and numbers them anew from 0; within it no row
    occurs twice. For tasks without classes (regression) an episode is ``shots`` and ``queries``
    rows of one task. Step ``i`` depends on the seed and on ``i`` alone.

    Args:
        tasks: where the classes come from.
        ways: classes per episode, at least 1; ignored for regression.
        shots: support rows per class, at least 1.
        queries: query rows per class, at least 1.
        per_step: episodes per step, stacked along a new leading axis.
        generator: one number is drawn from it.

    Raises:
        ValueError: if there are fewer than ``ways`` classes, or a class has too few rows.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> letters = Task("letters", Multiclass(6), Labelled(torch.randn(60, 2), torch.arange(60) % 6))
        >>> stream = episodes(letters, ways=5, shots=1, queries=3, per_step=2, generator=torch.Generator())
        >>> step = next(stream)
        >>> step.support.x.shape, step.query.y.shape
        (torch.Size([2, 5, 2]), torch.Size([2, 15]))
    """
    return _Episodes([tasks] if isinstance(tasks, Task) else tasks, ways, shots, queries, per_step, generator)
