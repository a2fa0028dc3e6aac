"""What a row is, what a task is, what a batch is.

Shapes: ``B`` rows, ``T`` episodes, ``S`` support rows, ``Q`` query rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

import numpy
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from ..errors import is_told, wrong
from .arrays import lit
from .encoding import Encoding
from .kinds import Kind, Standard, present
from .thin import is_sparse, thin

X = Tensor | Mapping[str, Tensor]
V = TypeVar("V")
SMALL = (torch.int8, torch.int16, torch.int32, torch.uint8)
RESERVED = frozenset(dir(nn.ModuleDict()))  # "type", "items", ...: heads are kept by the task's name


def parts(value: Any) -> Mapping[str, Any]:
    """List what rows, a batch or a mapping are made of, by name; a tensor is its own part, named "".

    Example:
        >>> list(parts(Labelled(torch.zeros(3, 2), torch.ones(3)))), list(parts(torch.zeros(3)))
        (['x', 'y'], [''])
    """
    if isinstance(value, Tensor):
        return {"": value}
    return value if isinstance(value, Mapping) else value.parts()


def tensors(value: Any) -> list[Tensor]:
    """List the tensors of ``x``, of a batch, or of anything that is made of them.

    Example:
        >>> batch = {"a": Labelled(torch.zeros(3, 2), torch.ones(3))}
        >>> [tuple(t.shape) for t in tensors(batch)]
        [(3, 2), (3,)]
    """
    found: list[Tensor] = []
    for part in parts(value).values():
        found += [part] if part is value else tensors(part)
    return found


def convert(value: V, function: Callable[[Tensor], Tensor]) -> V:
    """Copy ``x``, a batch, or anything made of them, with another tensor in place of each.

    What occurs several times, as the inputs of tasks that label the same rows, is converted once.

    Example:
        >>> convert({"ids": torch.tensor([1, 2])}, Tensor.double)
        {'ids': tensor([1., 2.], dtype=torch.float64)}
    """
    return _convert(value, function, {})


def _convert(value: Any, function: Callable[[Tensor], Tensor], done: dict[int, tuple[Any, Any]]) -> Any:
    """Convert what is not ``done``: the old, which so keeps its number, and the new."""
    if id(value) not in done:
        inner = parts(value)
        whole = inner.get("") is value
        new: Any
        if whole:
            new = function(value)
        else:
            made = {name: _convert(part, function, done) for name, part in inner.items()}
            new = made if inner is value else replace(value, **made)
        done[id(value)] = value, new
    return done[id(value)][1]


def as_tensors(value: Any, what: str = "`x`") -> X:
    """Take tensors, arrays, columns or lists of numbers, or a mapping of them, as tensors.

    Arrays share their memory where they can. Types stay as they are; what a masked array masks is NaN. A
    sparse matrix of SciPy or PyTorch stays so, as ``Thin`` rows of floats.

    Raises:
        TypeError: if it is nothing of the kind, not of numbers, or of complex ones.

    Example:
        >>> import numpy
        >>> as_tensors({"ids": numpy.arange(3), "mask": [1, 1, 0]})
        {'ids': tensor([0, 1, 2]), 'mask': tensor([1, 1, 0])}
    """
    if is_sparse(value):
        return thin(value, what)
    if isinstance(value, Tensor):
        return _plain(value, what)
    if isinstance(value, Mapping):
        made = {name: as_tensors(part, f"`{name}` of {what}") for name, part in value.items()}
        return value if all(made[name] is part for name, part in value.items()) else made  # type: ignore[return-value]
    try:
        if isinstance(value, numpy.ma.MaskedArray) and numpy.ma.is_masked(value):
            value = numpy.ma.filled(value.astype(float), float("nan"))  # what is masked is not there
        return _plain(_of_array(numpy.asarray(value)), what)
    except (TypeError, ValueError, RuntimeError) as error:
        if is_told(error):
            raise
        found, hint = type(value).__name__, "make it one, as in torch.as_tensor(array)"
        if _is_text(value):
            hint = "number labels by `kind.encode(labels)`"
        expected = "a tensor or an array of numbers, or a mapping of these"
        raise wrong(what, expected=expected, found=found, hint=hint, error=TypeError) from None


def _is_text(value: Any) -> bool:
    try:
        array = numpy.asarray(value)
        return array.dtype.kind in "US" or (array.size > 0 and isinstance(array.flat[0], str))
    except ValueError:
        return False


def _plain(x: Tensor, what: str) -> Tensor:
    """Return a tensor of real numbers, each of which is there."""
    if not x.is_complex():
        return x
    hint = "pass `torch.view_as_real(x).flatten(1)`"
    raise wrong(what, expected="a tensor of real numbers", found=x.dtype, hint=hint, error=TypeError)


def _of_array(array: numpy.ndarray) -> Tensor:
    """Share an array's memory, or copy what PyTorch has no type for and what may not be written to."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    known = {"u": "i8" if size > 1 else "u1", "f": f"f{min(size, 8)}"}
    array = numpy.ascontiguousarray(array, dtype=known.get(kind, array.dtype.newbyteorder("=")))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def as_labels(value: Any, what: str = "`y`") -> Tensor:
    """Take targets as a tensor; whole numbers as int64, as losses need them.

    Example:
        >>> as_labels([0, 1], "`y`").dtype, as_labels(torch.ones(2, dtype=torch.int32)).dtype
        (torch.int64, torch.int64)
    """
    y = as_tensors(value, what)
    if not isinstance(y, Tensor):
        raise wrong(what, expected="one tensor", found=type(value).__name__, error=TypeError)
    return y.long() if y.dtype in SMALL else y


def rows(x: X) -> int:
    """Count the rows of ``x``, a tensor or a mapping of tensors with equal first axis."""
    return len(next(iter(parts(x).values())))


def take(x: X, index: Tensor | slice) -> X:
    """Gather rows of ``x``: ``(B, *)`` at ``index (b,)`` or ``(T, b)`` gives ``index.shape + (*)``."""
    taken = {name: part[index] for name, part in parts(x).items()}
    return taken.get("", taken)


def move(x: X, device: torch.device | str) -> X:
    """Copy ``x`` to a device."""
    return convert(x, lambda part: part.to(device))


def join(*some: X) -> X:
    """Concatenate row by row; mappings must have the same names."""
    joined = {name: _cat([parts(x)[name] for x in some]) for name in parts(some[0])}
    return joined.get("", joined)


def _cat(some: list[Tensor]) -> Tensor:
    return torch.cat([lit(part) for part in some] if len({part.dtype for part in some}) > 1 else some)


def _equal_rows(x: X) -> int:
    """Count the rows of ``x``; ``ValueError`` where its tensors differ in their first axis."""
    inner = parts(x)
    counts = {len(part) for part in inner.values()}
    if len(counts) != 1:
        sizes = {name: len(part) for name, part in inner.items()}
        raise wrong("`x`", expected="tensors with one first axis", found=sizes)
    return counts.pop()


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Hold rows without labels, so that a method that must not read labels cannot.

    Args:
        x: a tensor or an array ``(B, *)``, a sparse matrix ``(B, D)``, which becomes ``Thin`` rows, or a
            mapping of these with equal first axis (token ids, mask).

    Raises:
        TypeError: if ``x`` is nothing of the kind.
        ValueError: if the tensors of a mapping differ in their first axis.

    Example:
        >>> len(Inputs(torch.zeros(3, 2)))
        3
    """

    x: X
    held: ClassVar[Literal[True]] = True
    complete: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", as_tensors(self.x))
        _equal_rows(self.x)

    def __len__(self) -> int:
        return rows(self.x)

    def parts(self) -> dict[str, X]:
        """List what the rows are made of, by name."""
        return {"x": self.x}

    def take(self, index: Tensor) -> Inputs:
        """Gather rows."""
        return Inputs(take(self.x, index))

    def to(self, device: torch.device | str) -> Inputs:
        """Copy to a device."""
        return convert(self, lambda part: part.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Hold rows with their targets.

    Args:
        x: a tensor or an array ``(B, *)``, a sparse matrix ``(B, D)``, which becomes ``Thin`` rows, or a
            mapping of these with equal first axis.
        y: targets ``(B, ...)``, a tensor or an array; a missing label is NaN (float) or -100 (integer).
        complete: promises that no label is missing and no input NaN or infinity, which saves looking
            for them at every step.
        group: whole numbers ``(B,)``, alike where rows belong together (of one patient, author, session);
            ``None`` where each row stands alone. Rows are held out by groups, and intervals draw them anew.

    Raises:
        TypeError: if ``x`` or ``y`` is nothing of the kind.
        ValueError: if ``x``, ``y`` and ``group`` differ in length, or groups are no whole numbers.

    Example:
        >>> batch = Labelled(torch.zeros(3, 2), torch.tensor([0, 1, -100]))
        >>> batch.present().tolist()
        [True, True, False]
    """

    x: X
    y: Tensor
    complete: bool = False
    group: Tensor | None = None
    held: ClassVar[Literal[True]] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", as_tensors(self.x))
        object.__setattr__(self, "y", as_labels(self.y))
        if self.group is not None:
            object.__setattr__(self, "group", as_labels(self.group, "`group`"))
        count = _equal_rows(self.x)
        if count != len(self.y):
            raise wrong("`y`", expected=f"one target per row of `x` ({count})", found=f"{len(self.y)}")
        if self.group is not None and (len(self.group) != count or self.group.dtype != torch.long):
            found = f"{self.group.dtype} of shape {tuple(self.group.shape)}"
            raise wrong(
                "`group`", expected=f"whole numbers (torch.long), {count} as `x` has rows", found=found
            )

    def __len__(self) -> int:
        return len(self.y)

    def parts(self) -> dict[str, X]:
        """List what the rows are made of, by name."""
        grouped = {} if self.group is None else {"group": self.group}
        return {"x": self.x, "y": self.y, **grouped}

    def take(self, index: Tensor) -> Labelled:
        """Gather rows."""
        group = None if self.group is None else self.group[index]
        return Labelled(take(self.x, index), self.y[index], self.complete, group)

    def inputs(self) -> Inputs:
        """Forget the labels."""
        return Inputs(self.x)

    def to(self, device: torch.device | str) -> Labelled:
        """Copy to a device."""
        return convert(self, lambda part: part.to(device))

    def present(self) -> Tensor:
        """Tell which rows have at least one label, as a mask ``(B,)``."""
        return present(self.y)

    def known(self) -> Labelled:
        """Keep the rows that have at least one label."""
        return self.take(self.present().nonzero().flatten())


@dataclass(frozen=True, slots=True, eq=False)
class Lazy:
    """Hold rows that a map-style dataset loads when they are asked for.

    Args:
        data: gives ``(x, y)``, or ``x`` alone, for each number from 0 to its length.

    Example:
        >>> rows = Lazy(torch.utils.data.TensorDataset(torch.zeros(3, 2), torch.arange(3)))
        >>> len(rows), rows.take(torch.tensor([2, 0])).y.tolist()
        (3, [2, 0])
    """

    data: Dataset
    held: ClassVar[Literal[False]] = False

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        return self.data[index]

    def take(self, index: Tensor) -> Any:
        """Load rows and stack them, as ``Labelled``, or as ``Inputs`` where the dataset gives ``x`` alone."""
        return collate([self.data[i] for i in index.tolist()])

    def present(self) -> Tensor:
        """Take every row to have a label, since only loading it would tell."""
        return torch.ones(len(self), dtype=torch.bool)


def collate(samples: list[Any]) -> Labelled | Inputs:
    """Stack the samples of a dataset, pairs ``(x, y)`` or ``x`` alone."""
    if isinstance(samples[0], tuple | list):
        x, y = default_collate([tuple(sample) for sample in samples])
        return Labelled(x, y)
    return Inputs(default_collate(samples))


def wrapped(data: Any) -> Any:
    """Return rows as they are, and a dataset of the caller's own as ``Lazy`` rows."""
    if isinstance(data, tuple) and len(data) == 2 and all(hasattr(part, "shape") for part in data):
        hint = "pass `hs.tasks.Labelled(x, y)`"
        raise wrong(
            "rows",
            expected="`Labelled`, or a dataset of (x, y) pairs",
            found="a tuple of arrays",
            hint=hint,
            error=TypeError,
        )
    return data if isinstance(data, Labelled | Inputs | Lazy | None) else Lazy(data)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Say what is to be learned: inputs, targets and how an answer is scored.

    Args:
        name: names the head, the loss and the rows of every table; without ``.``.
        kind: what an answer is, which gives the loss, the head and the metrics.
        train: labelled rows, or a map-style dataset of ``(x, y)`` pairs, which becomes ``Lazy`` rows.
        valid: rows for choosing settings.
        test: rows to be touched once.
        unlabelled: rows from where the model will run, for domain adaptation.
        encoding: how rows were made (columns, vocabulary, image size), so that new ones are made in the
            same way; ``None`` for tensors of the caller's own.
        standard: the unit that ``train`` and ``valid`` are in, where a trial has put them into one of its
            own; ``None`` where they are in the user's.
        weights: what a training row of each class counts, ``(C,)``, where a trial weighs them; ``None``
            where all rows count alike.
        prior: targets of all the labelled rows that ``train`` was drawn from, which tell how common each
            class is; ``None`` where ``train`` is all there is.

    Raises:
        ValueError: if the name is empty, contains ``.`` or is one of ``nn.ModuleDict``'s own, or a label
            is not one of the kind's.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> rows = Labelled(torch.randn(4, 2), torch.tensor([0, 1, 0, 1]))
        >>> Task("coins", Multiclass(["head", "tail"]), rows).kind.outputs
        2
    """

    name: str
    kind: Kind
    train: Labelled | Lazy
    valid: Labelled | Lazy | None = None
    test: Labelled | Lazy | None = None
    unlabelled: Inputs | Lazy | None = None
    encoding: Encoding | None = None
    standard: Standard | None = None
    weights: Tensor | None = None
    prior: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.name or "." in self.name:
            raise wrong("`name` of a task", expected='a non-empty name without "."', found=f'"{self.name}"')
        if self.name in RESERVED:
            expected = "a name that modules of PyTorch do not use themselves"
            hint = f'call it "{self.name}_"'
            raise wrong("`name` of a task", expected=expected, found=f'"{self.name}"', hint=hint)
        if not isinstance(self.kind, Kind):
            hint = 'pass a kind of `hs.tasks`, such as `Multiclass(["no", "yes"])` or `Regression()`'
            found = repr(self.kind)
            raise wrong(
                f"`kind` of task {self.name!r}", expected="a kind", found=found, hint=hint, error=TypeError
            )
        for part in ("train", "valid", "test", "unlabelled"):
            object.__setattr__(self, part, wrapped(getattr(self, part)))
        for part, data in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            if data is not None and data.held:
                try:
                    self.kind.check(data.y)
                except ValueError as error:
                    raise ValueError(f"task {self.name!r}, {part} rows: {error}") from None

    def loss(self, prediction: Tensor, y: Tensor, *, complete: bool = False) -> Tensor:
        """Score a prediction against training targets, as a scalar to lower; classes count by ``weights``."""
        if self.weights is None:
            return self.kind.loss(prediction, y, complete=complete)
        return self.kind.loss(prediction, y, complete=complete, weights=self.weights)


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """Hold one step of domain adaptation: labelled source rows, target rows without labels."""

    source: Labelled
    target: Inputs

    def parts(self) -> dict[str, Labelled | Inputs]:
        """List the rows of the step, by name."""
        return {"source": self.source, "target": self.target}

    def to(self, device: torch.device | str) -> Shift:
        """Copy to a device."""
        return convert(self, lambda part: part.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """Hold a stack of few-shot problems along a leading axis ``T``.

    Args:
        support: rows to adapt on, ``x (T, S, *)``, ``y (T, S)`` in ``[0, ways)`` (or float targets).
        query: rows to be judged on, ``x (T, Q, *)``, ``y (T, Q)``.
        ways: classes per episode; 0 for regression.
    """

    support: Labelled
    query: Labelled
    ways: int

    def __len__(self) -> int:
        return len(self.support.y)

    def episode(self, index: int) -> tuple[Labelled, Labelled]:
        """Return the support and the query set of one episode, without the leading axis."""
        at = torch.tensor(index)
        return self.support.take(at), self.query.take(at)

    def parts(self) -> dict[str, Labelled]:
        """List the rows of the step, by name."""
        return {"support": self.support, "query": self.query}

    def to(self, device: torch.device | str) -> Episodes:
        """Copy to a device."""
        return convert(self, lambda part: part.to(device))


Batch = Mapping[str, Labelled] | Shift | Episodes


def inputs_of(batch: Batch) -> dict[str, X]:
    """List the inputs of a batch under the names that messages call them by, shared ones once.

    Rows that promise to be complete are left out.
    """
    given = parts(batch)
    for name, rows in tuple(given.items()):
        if isinstance(rows, Episodes):  # several tasks at once, each with episodes
            given = {n: r for n, r in given.items() if n != name}
            given |= {f"{name}, {side}": part for side, part in rows.parts().items()}
    loose = {name: rows.x for name, rows in given.items() if not rows.complete}
    if not loose:
        return {}
    call = 'task "{}"' if given is batch else "{}"
    return {call.format(name): x for name, x in {id(x): (name, x) for name, x in loose.items()}.values()}
