"""Labelled batches of one or several tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, final

import torch
from torch import Tensor

from ...errors import unknown, wrong
from ...maths import random
from ..finite import finite
from ..kinds import known
from ..nouns import Labelled, Task, take
from .rows import Rows, labelled_rows
from .stream import Stream, check_names, positive

SAMPLINGS = ("equal", "proportional", "temperature", "annealed", "alternate")


def batches(
    tasks: Sequence[Task],
    size: int,
    *,
    sampling: str = "equal",
    steps: int | None = None,
    balanced: Collection[str] = (),
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
    step, in turn. With ``"equal"``, texts of like length come in one batch.

    Args:
        tasks: tasks with distinct names.
        size: rows per task and step, at least 1; a task with fewer rows gives all it has.
        sampling: ``"equal"``, ``"proportional"``, ``"temperature:P"``, ``"annealed"``, ``"alternate"``.
        steps: length of the annealing.
        balanced: names of tasks whose classes come alike often: rows of the rarer ones come again, until each
            has as many as the commonest. Without it, and in tasks of other answers, each row comes once.
        workers: processes that load a map-style dataset; tensors are gathered in place.
        generator: one number is drawn from it.

    Raises:
        ValueError: for an unknown sampling, a size below 1, a task without labelled rows; for a ``balanced``
            task that shares its rows with others, or whose rows are a dataset.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.randn(8, 2), torch.arange(8) % 2)
        >>> stream = batches([Task("coins", Multiclass(2), rows)], 4, generator=torch.Generator())
        >>> next(stream)["coins"].x.shape
        torch.Size([4, 2])

    References:
        Annealed sampling: Stickland & Murray (ICML 2019), section 4.1, https://arxiv.org/abs/1902.02671
    """
    return _Batches(tasks, size, sampling, steps, frozenset(balanced), workers, generator)


@final
class _Batches(Stream):
    def __init__(
        self,
        tasks: Sequence[Task],
        size: int,
        sampling: str,
        steps: int | None,
        balanced: frozenset[str],
        workers: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(generator)
        check_names(tasks)
        self.tasks, self.size = list(tasks), positive("size", size)
        self.scheme, self.power, self.steps = _sampling(sampling, steps)
        # Tasks that label the very same rows (one table, many label columns) are drawn together.
        groups: dict[int, list[Task]] = {}
        for task in self.tasks:
            shared = task.train.x if task.train.held else task
            groups.setdefault(id(shared), []).append(task)
        self.groups = list(groups.values())
        self.readers = [Rows(g[0].train, _drawn_from(g, balanced), workers) for g in self.groups]
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
        generator = random.generator(self._seed, 1, self._step)
        drawn = torch.multinomial(odds, self.size * len(sizes), replacement=True, generator=generator)
        return [min(c, n) for c, n in zip(drawn.bincount(minlength=len(sizes)).tolist(), sizes, strict=True)]

    def _batch(self) -> dict[str, Labelled]:
        batch: dict[str, Labelled] = {}
        for k, count in enumerate(self._counts()):
            if not count:
                continue
            reader, place = self.readers[k], (self._taken[k], count, self._seed, 0, k)
            if reader.data.held:
                index = (reader.alike if self.scheme == "equal" else reader.rows)(*place)
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


def _drawn_from(group: Sequence[Task], balanced: frozenset[str]) -> Tensor:
    """Number the rows of an epoch; where classes are to come alike often, some of them several times."""
    index = torch.cat([labelled_rows(t.train, t.name) for t in group]).unique()
    first, *others = sorted(group, key=lambda t: t.name not in balanced)
    if first.name not in balanced or not first.kind.exclusive:
        return index
    if others or not first.train.held:
        raise wrong(
            f"task {first.name!r}, whose classes are to come alike often",
            expected="rows of its own, in tensors",
            found=f"the rows of {others[0].name!r}" if others else "a dataset",
            hint="weigh its classes in the loss instead",
        )
    y = first.train.y[index.to(first.train.y.device)].flatten().cpu()
    parts = [index[y == c] for c in y.unique()]
    most = max(map(len, parts))
    return torch.cat([part.repeat(-(-most // len(part)))[:most] for part in parts])


def _tables(group: Sequence[Task], reader: Rows) -> dict[str, Labelled]:
    """Find out, once for all steps, whether anything is missing in the rows of tasks that share them."""
    sound = reader.data.held and finite(reader.data.x)
    return {
        t.name: Labelled(t.train.x, t.train.y, complete=sound and bool(known(t.train.y[reader.index]).all()))
        for t in group
        if t.train.held
    }


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
