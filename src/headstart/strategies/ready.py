"""Rows become such as nets take them, once, before anything is compared: float32, or ids of tokens.

Shapes: ``B`` rows, ``L`` tokens, ``C`` channels, ``H``, ``W`` pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy
from torch.utils.data import Dataset

from ..engine import seeded
from ..engine.evaluate import undisturbed
from ..errors import wrong
from ..models.fresh import copied
from ..models.net import as_backbone, device_of, task_dependent
from ..models.outputs import width
from ..models.wrappers import unwrapped
from ..tasks import Lazy, Task, X
from ..tasks.arrays import channels_first, lit, many
from ..tasks.kinds import MISSING
from ..tasks.nouns import SMALL, collate, convert, move, take, tensors
from ..tasks.spelling import unspelled

PARTS = ("train", "valid", "test", "unlabelled")


def floats(x: X) -> X:
    """Bring floating numbers to float32, which keeps about seven digits, and leave their graph behind."""
    return convert(x, lambda t: _float(t) if t.is_floating_point() else t)


def _float(t: Tensor) -> Tensor:
    return (t.detach() if t.requires_grad else t).float()


def tokens(x: X) -> X:
    """Bring ids of tokens to int64, as embeddings take them."""
    return convert(x, lambda t: t.long() if t.dtype in SMALL else t)


def numbers(x: X) -> X:
    """Make rows float32 that are one tensor.

    Pixels of 8 bits, in ``(B, *, *)`` and more axes, are divided by 255, as readers do it (over a gigabyte of
    them when a batch is used), and channels that come last come first; other whole numbers become floats.

    Example:
        >>> numbers(torch.tensor([[1, 2], [3, 4]]))
        tensor([[1., 2.],
                [3., 4.]])
    """
    if not isinstance(x, Tensor):
        return floats(x)
    if many(x):
        return channels_first(x)
    return channels_first(_float(lit(unspelled(x))))


def _pixels(x: Tensor) -> bool:
    return x.dtype == torch.uint8 and x.ndim > 2


def _notes(old: X, new: X) -> Iterator[str]:
    """Say what became of rows beyond another type."""
    if isinstance(old, Tensor) and isinstance(new, Tensor):
        if _pixels(old) and new.is_floating_point():
            yield "pixels of 8 bits (uint8) were divided by 255; divide new rows for the model as well"
        if old.shape != new.shape:
            shape = tuple(old.shape[1:])
            yield f"images of shape {shape} were taken to have their channels last; now they come first"


def converted(tasks: Iterable[Task], function: Callable[[X], X]) -> tuple[Task, ...]:
    """Convert the inputs of tasks, those of datasets as they are loaded; shared rows are converted once.

    A task whose rows stay is the very same afterwards. A warning says what is more than another type.
    """
    done: dict[int, tuple[X, X]] = {}

    def once(x: X) -> X:
        if id(x) not in done:
            done[id(x)] = x, _same(x, function(x))
        return done[id(x)][1]

    def rows(data: Any) -> Any:
        if data.held:
            return data if (x := once(data.x)) is data.x else replace(data, x=x)
        if not len(data) or (x := data.take(torch.tensor([0])).x) is once(x):
            return data
        return Lazy(_Ready(data.data, function))

    def ready(task: Task) -> Task:
        old = _parts(task)
        new = {part: rows(data) for part, data in old.items()}
        return task if all(new[part] is old[part] for part in old) else replace(task, **new)

    made = tuple(map(ready, tasks))
    for note in dict.fromkeys(note for old, new in done.values() for note in _notes(old, new)):
        warnings.warn(note, UserWarning, stacklevel=5)
    return made


class _Ready(Dataset[Any]):
    """A dataset with its inputs converted."""

    def __init__(self, data: Any, function: Callable[[X], X]) -> None:
        self.data, self.function = data, function

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        item = self.data[index]
        first = convert(self.function(collate([item]).x), lambda t: t[0])
        return (first, *item[1:]) if isinstance(item, tuple | list) else first


def of_one_length(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Bring the texts of several tasks to the length of the longest, so that one net reads them all.

    Rows of token ids end in 0, and have no label there. A task whose rows are as long already, or are no
    tensor of whole numbers along one axis in memory, is the very same afterwards.
    """
    tasks = tuple(tasks)
    long = [data.x.shape[1] for task in tasks for data in _parts(task).values() if _text(data)]
    if len(set(long)) < 2:
        return tasks
    done: dict[int, tuple[Tensor, Tensor]] = {}

    def longer(values: Tensor, fill: int) -> Tensor:
        if values.shape[1] == max(long):
            return values
        if id(values) not in done:  # tasks may share their rows
            done[id(values)] = values, F.pad(values, (0, max(long) - values.shape[1]), value=fill)
        return done[id(values)][1]

    def ready(task: Task) -> Task:
        new: dict[str, Any] = {}
        for part, data in _parts(task).items():
            if _text(data) and data.x.shape[1] < max(long):
                labels = {"y": longer(data.y, MISSING)} if _tagged(task, data) else {}
                new[part] = replace(data, x=longer(data.x, 0), **labels)
        return replace(task, **new) if new else task

    return tuple(map(ready, tasks))


def _parts(task: Task) -> dict[str, Any]:
    return {part: data for part in PARTS if (data := getattr(task, part)) is not None}


def _text(data: Any) -> bool:
    """Tell whether rows are of token ids, in memory."""
    return bool(
        data.held and isinstance(data.x, Tensor) and data.x.ndim == 2 and not data.x.is_floating_point()
    )


def _tagged(task: Task, data: Any) -> bool:
    """Tell whether each token of rows has a place for a label."""
    return not task.kind.per_row and hasattr(data, "y") and data.y.ndim == 2


def _same(old: X, new: X) -> X:
    """Return what was there, where the new has the very same tensors."""
    return old if all(a is b for a, b in zip(tensors(old), tensors(new), strict=True)) else new


def first_row(task: Task) -> X | None:
    """Take one row of the training rows, or of others where there are none; ``None`` without any."""
    for data in (task.train, task.unlabelled, task.valid, task.test):
        if data is not None and len(data):
            return take(data.x, slice(1)) if data.held else data.take(torch.tensor([0])).x
    return None


def fitted(module: nn.Module, task: Task) -> tuple[nn.Module, Callable[[X], X]]:
    """See that a module of the caller's own takes a task's rows, and say what they have to become for it.

    One row is passed through, as it is and then as ``numbers`` makes it. A module with weights that wait for
    their first row (``nn.LazyLinear``) is copied, and the copy has them, drawn from a seed of its own. So is
    one whose embeddings have sparse gradients, to have dense ones.

    Args:
        module: is not changed.
        task: whose first row is taken; without any nothing is looked at.

    Returns:
        the module, or its copy; and a conversion of rows.

    Raises:
        ValueError: if it takes the row in neither form, or gives no table of features;
            ``TypeError`` if it is not plain what it gives.
    """
    _check(module)
    if any(map(is_lazy, (*module.parameters(), *module.buffers()))) or _sparse(module):
        module = copied(module)
    for part in _sparse(module):
        part.sparse = False  # the same gradients, in a form that every optimizer takes
    if task_dependent(module) or (row := first_row(task)) is None:
        return module, floats
    refused: Exception | None = None
    for conversion in (floats, numbers):
        try:
            given = _passed(module, conversion, row)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            refused = refused or error
            continue
        if as_backbone(module) is None:
            width(given)
        return module, conversion
    shown = ", ".join(f"{t.dtype} of shape {tuple(t.shape)}" for t in tensors(row))
    why = " ".join(str(refused).split())[:200]
    hint = "pass such rows as it takes, as in `x.float()`, or another backbone"
    raise wrong(
        "rows of the target", expected="such as the backbone takes", found=f"{shown} ({why})", hint=hint
    ) from refused


def _sparse(module: nn.Module) -> list[nn.Embedding | nn.EmbeddingBag]:
    return [
        part for part in module.modules() if isinstance(part, nn.Embedding | nn.EmbeddingBag) and part.sparse
    ]


def _check(module: nn.Module) -> None:
    """Raise ``ValueError`` for weights that are not there, and where rows would change others' answers."""
    if any(value.is_meta for value in module.parameters()):
        hint = "load them, as by `module.to_empty(device='cpu')` and `load_state_dict`"
        raise wrong(
            "weights of the backbone", expected="numbers", found='none, on the device "meta"', hint=hint
        )
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm) and part.running_mean is None:
            raise wrong(
                f"batch norm `{name}` of the backbone",
                expected="one that keeps running statistics, so that each row has its own answer",
                found="`track_running_stats=False`",
                hint="keep them, or take a layer or group norm",
            )


def _passed(module: nn.Module, conversion: Callable[[X], X], row: X) -> Any:
    """Pass a copy of one row through, without a trace."""
    inner = unwrapped(module)
    with warnings.catch_warnings(), undisturbed(inner), seeded(0):
        warnings.simplefilter("ignore")
        row = conversion(unspelled(move(convert(row, Tensor.clone), "cpu")))
        kind = next((p.dtype for p in inner.parameters() if p.is_floating_point() and not is_lazy(p)), None)
        row = convert(row, lambda t: t.to(kind) if kind is not None and t.is_floating_point() else t)
        row = convert(row, lit) if as_backbone(inner) is not None else row
        return inner(move(row, device_of(inner)))
