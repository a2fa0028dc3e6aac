"""Who goes to train, valid and test; tasks made from rows and such a division.

Shapes: ``N`` rows of a file.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import unknown, wrong
from ..tasks import Inputs, Kind, Labelled, Task, X
from ..tasks.encoding import Encoding
from ..tasks.nouns import RESERVED, rows, take, tensors

PARTS = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}
EXPECTED = "equal rows in train and test are expected, unless rows were copied by mistake"
FIFTH = 0.2  # of the rows, for test where nothing else is said
LABELLED: Literal["labelled"] = "labelled"  # rows, all of them for test
WIDE = 512  # bytes of a row, from which rows are hashed one by one
Division = Mapping[str, Tensor]  # part -> row numbers


@dataclass(frozen=True)
class SplitSpec:
    """Say how rows are divided where a file does not say so itself.

    The same seed gives the same division. With ``stratify`` every class has its share of each part,
    to within one row where no class is rare, and at least one row of every class stays in train.
    With ``group`` no group is on two sides, and parts are filled so that the classes' shares come
    near the fractions.

    Args:
        test: fraction of the rows for test, in [0, 1); or ``"labelled"``, for a task whose labels are only to
            judge: in a table, every row that has a label, where others have none, else a fifth.
        valid: fraction of the rows for valid, in [0, 1); benchmark sets with a test part of their
            own take it from their train rows.
        group: column (or npz key) whose equal values stay together (patient, author, session).
        stratify: keep the classes' shares; without effect on regression.
        seed: of the division.
        rows: those of each part, where they are known, as ``task.encoding.division`` of another reading of
            the same data; fractions and seed are then without effect.

    Raises:
        ValueError: if a fraction is outside [0, 1), or both together leave no train rows.

    Example:
        >>> SplitSpec(test=0.25, group="patient").test
        0.25
    """

    test: float | Literal["labelled"] = FIFTH
    valid: float = 0.0
    group: str = ""
    stratify: bool = True
    seed: int = 0
    rows: Division | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.test, str) and self.test != LABELLED:
            raise wrong("`test` of the split", expected=f'a fraction, or "{LABELLED}"', found=self.test)
        for name, value in (("test", self.fraction), ("valid", self.valid)):
            if not 0 <= value < 1:
                raise wrong(f"`{name}` of the split", expected="a fraction in [0, 1)", found=value)
        if self.fraction + self.valid >= 1:
            raise wrong(
                "`test + valid` of the split",
                expected="below 1",
                found=self.fraction + self.valid,
                hint="leave rows for train",
            )

    @property
    def fraction(self) -> float:
        """The fraction of the rows that is for test where all have a label, or none."""
        return FIFTH if isinstance(self.test, str) else self.test


def _numbered(values: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """Number values, or rows of whole numbers, in the order in which they first appear."""
    if not isinstance(values, np.ndarray):
        seen: dict[Hashable, int] = {}
        return np.array([seen.setdefault(v, len(seen)) for v in values], dtype=np.int64)
    number = np.zeros(len(values), dtype=np.int64)
    for column in values.T:
        _, codes = np.unique(column, return_inverse=True)
        both = number * (codes.max(initial=0) + 1) + codes
        _, first, which = np.unique(both, return_index=True, return_inverse=True)
        number = np.argsort(np.argsort(first))[which]
    return number


def _by_row(strata: np.ndarray, sizes: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    """Walk through the rows class by class and pick every so-many-th; one row of each class is not picked."""
    part = np.full(len(strata), "train")
    order = np.lexsort((rng.random(len(strata)), strata))
    first = np.append(True, np.diff(strata[order]) != 0)
    free = order[~first] if first.sum() < len(order) - sum(sizes.values()) else rng.permutation(order)
    for name, size in sizes.items():
        picked = ((np.arange(size) + 0.5) * len(free) / max(1, size)).astype(int)
        part[free[picked]] = name
        free = np.delete(free, picked)
    return part


def _by_group(
    strata: np.ndarray, groups: np.ndarray, fractions: Mapping[str, float], seed: int
) -> np.ndarray:
    """Give each group, large ones first, to the part that lacks its classes most."""
    counts = np.zeros((groups.max() + 1, strata.max() + 1))
    np.add.at(counts, (groups, strata), 1)
    names = [n for n in ("train", "test", "valid") if fractions[n] > 0]
    if len(counts) < len(names):
        raise wrong(
            "`group` column",
            expected=f"at least {len(names)} groups, one for each part",
            found=len(counts),
        )
    lacking = np.array([[fractions[n]] for n in names]) * counts.sum(0)  # (parts, classes)
    weight = 1 / counts.sum(0)
    chosen = np.zeros(len(counts), dtype=int)
    order = np.lexsort((np.random.default_rng(seed).random(len(counts)), -counts.sum(1)))
    for place, group in enumerate(order):
        gain = (lacking * weight * counts[group]).sum(1)
        left = len(order) - place
        empty = [i for i in range(len(names)) if i not in chosen[order[:place]]] if left <= len(names) else []
        best = empty[0] if len(empty) >= left else int(gain.argmax())
        chosen[group] = best
        lacking[best] -= counts[group]
    return np.array(names)[chosen[groups]]


def divide(
    spec: SplitSpec,
    count: int,
    strata: Sequence[Hashable] | np.ndarray | None = None,
    groups: Sequence[Hashable] | None = None,
    known: Tensor | None = None,
) -> Division:
    """Divide ``count`` rows into train, valid and test; a part without rows is left out.

    Args:
        spec: fractions and seed.
        count: rows.
        strata: class of each row, or an array ``(N, K)`` of several for each; or ``None``.
        groups: group of each row, or ``None``.
        known: whether each row has a label, ``(N,)``; ``None`` where all have one.

    Raises:
        ValueError: if a part that was asked for gets no row.

    Example:
        >>> {name: len(index) for name, index in divide(SplitSpec(), 10, [0, 1] * 5).items()}
        {'train': 8, 'test': 2}
    """
    if spec.rows is not None:
        if (listed := sum(map(len, spec.rows.values()))) != count:
            raise wrong("`rows` of the split", expected=f"those of all {count} rows", found=f"{listed} rows")
        return spec.rows
    if spec.test == LABELLED and known is not None and bool(known.any()) and not bool(known.all()):
        return {"train": (~known).nonzero().flatten(), "test": known.nonzero().flatten()}
    kinds = _numbered(strata) if strata is not None and spec.stratify else np.zeros(count, dtype=np.int64)
    fractions = {"train": 1 - spec.fraction - spec.valid, "test": spec.fraction, "valid": spec.valid}
    if groups is not None:
        part = _by_group(kinds, _numbered(groups), fractions, spec.seed)
    else:
        sizes = {name: round(fractions[name] * count) for name in ("test", "valid")}
        part = _by_row(kinds, sizes, np.random.default_rng(spec.seed))
    index = {name: torch.from_numpy(np.flatnonzero(part == name)) for name in ("train", "valid", "test")}
    for name, fraction in fractions.items():
        if fraction > 0 and not len(index[name]):
            raise wrong(
                f"{name} part",
                expected="at least one row",
                found=f"none of {count} rows",
                hint=f"give more rows or change the fraction {fraction:.3g}",
            )
    return {name: at for name, at in index.items() if len(at)}


def given(values: Sequence[object], where: str) -> Division:
    """Read the division off a ``split`` column; ``val``, ``validation`` and ``dev`` mean valid.

    Raises:
        ValueError: for another word, or if no row is for training.
    """
    parts = []
    for value in values:
        if str(value).lower() not in PARTS:
            raise unknown(f"`split` column of {where}", str(value), PARTS)
        parts.append(PARTS[str(value).lower()])
    index = {p: torch.tensor([i for i, q in enumerate(parts) if q == p]) for p in ("train", "valid", "test")}
    if not len(index["train"]):
        raise wrong(f"`split` column of {where}", expected='rows with "train"', found=sorted(set(parts)))
    return {name: at for name, at in index.items() if len(at)}


def check_apart(division: Division, groups: Sequence[Hashable] | None, what: str, name: str) -> None:
    """Refuse a division that was given and has rows of one group in two parts."""
    if groups is None:
        return
    sides = [{groups[i] for i in at.tolist()} for at in division.values()]
    for group in dict.fromkeys(groups):
        if sum(group in side for side in sides) > 1:
            raise wrong(what, expected=f"no `{name}` on two sides", found=group)


def count_duplicates(test: X, trains: Sequence[X]) -> list[int]:
    """Count the test rows that are also rows of each of several sets of train rows.

    Example:
        >>> count_duplicates(torch.tensor([[1.0], [1.0], [2.0]]), [torch.tensor([[0.0], [1.0]])])
        [2]
    """
    found = _hashes(test)
    return [_among(found, np.sort(_hashes(x))) for x in trains]


def _among(found: np.ndarray, known: np.ndarray) -> int:
    """Count those of ``found`` that are in ``known``, which is sorted."""
    if not len(known):
        return 0
    return int((known[np.searchsorted(known, found).clip(max=len(known) - 1)] == found).sum())


def _hashes(x: X) -> np.ndarray:
    """Give each row a number of 64 bits, alike where all bytes are: ``(N,)``; in this process alone."""
    whole = np.zeros(rows(x), dtype=np.uint64)
    for part in tensors(x) if len(whole) else []:
        array = part.contiguous().numpy().reshape(len(whole), -1)
        width = array.shape[1] * array.itemsize
        if width > WIDE:
            words = np.array([hash(row.tobytes()) for row in array], dtype=np.int64).view(np.uint64)[:, None]
        else:
            words = np.pad(array.view(np.uint8), ((0, 0), (0, -width % 8))).view(np.uint64)
        for word in words.T:
            whole ^= word
            whole *= np.uint64(0x9E3779B97F4A7C15)
            whole ^= whole >> np.uint64(29)
    return whole


def alike(*parts: X) -> str:
    """Say how many rows are different, where that is fewer than half of them; else ``""``.

    Where it is, rows are equal by nature (a few columns of few values), and none is a copy of another.

    Example:
        >>> alike(torch.tensor([[0.0], [0.0], [1.0]]), torch.tensor([[1.0], [1.0]]))
        '2 different rows among 5'
        >>> alike(torch.tensor([[0.0], [1.0]]))
        ''
    """
    return _few(np.concatenate([_hashes(x) for x in parts]))


def _few(found: np.ndarray) -> str:
    different = int(np.count_nonzero(np.diff(np.sort(found)))) + 1
    return f"{different} different rows among {len(found)}" if different < len(found) / 2 else ""


def few_differ(rows: Sequence[Hashable]) -> bool:
    """Tell whether fewer than half of the rows are different."""
    return len(set(rows)) < len(rows) / 2


def fingerprints(rows: Labelled) -> list[tuple[str, str]]:
    """Give the inputs and the label of each row a short name that tells them from others, in every process.

    Example:
        >>> fingerprints(Labelled(torch.tensor([[1.0], [2.0], [1.0]]), torch.tensor([0, 1, 1])))
        [('c0ace167655b', '4e56'), ('6cd4610f717c', '4334'), ('c0ace167655b', '4334')]
    """
    inputs, labels = tensors(rows.x), [rows.y.double()]
    return list(zip(_names(inputs, 6), _names(labels, 2), strict=True))


def _names(parts: Iterable[Tensor], size: int) -> list[str]:
    arrays = [t.cpu().contiguous().numpy() for t in parts]
    rows = (b"".join(a[i].tobytes() for a in arrays) for i in range(len(arrays[0])))
    return [hashlib.blake2b(row, digest_size=size).hexdigest() for row in rows]


def warn_duplicates(x: X, division: Division, where: str) -> int:
    """Warn where test rows are also train rows, which flatters every score unless rows are equal by nature.

    Returns:
        How many, for the encoding to say, so that a comparison does not tell it again.
    """
    if "test" not in division:
        return 0
    found = _hashes(x)
    count = _among(found[division["test"].numpy()], np.sort(found[division["train"].numpy()]))
    if not count:
        return 0
    if few := _few(found):
        told = f"many rows of {where} are alike: {few}; {EXPECTED}"
    else:
        told = (
            f"{count} of {len(division['test'])} test rows of {where} are equal to a train row; "
            "remove them, or keep them together with `group`"
        )
    warnings.warn(told, UserWarning, stacklevel=3)
    return count


def build(
    targets: Sequence[tuple[str, Kind, Tensor]],
    x: X,
    division: Division,
    encoding: Encoding,
    unlabelled: X | None = None,
    groups: Sequence[Hashable] | None = None,
) -> list[Task]:
    """Make a task of each ``(name, kind, y)``; all share the very same tensors of inputs, and the groups."""
    encoding = replace(encoding, division=division)
    parts = {name: take(x, index) for name, index in division.items()}
    number = None if groups is None else torch.from_numpy(_numbered(groups))
    group = {name: None if number is None else number[index] for name, index in division.items()}
    return [
        Task(
            task_name(name),
            kind,
            **{part: Labelled(parts[part], y[at], group=group[part]) for part, at in division.items()},  # type: ignore[arg-type]
            unlabelled=None if unlabelled is None else Inputs(unlabelled),
            encoding=encoding.asking(name, kind),
        )
        for name, kind, y in targets
    ]


def task_name(column: str) -> str:
    """Turn a column's name into a task's: no dots, and none of the words that modules use themselves."""
    name = column.replace(".", "_")
    return f"{name}_" if name in RESERVED else name


def carve(tasks: Sequence[Task], spec: SplitSpec) -> list[Task]:
    """Take ``spec.valid`` of the train rows for valid, where tasks have no valid part yet.

    Tasks that share their inputs still share them afterwards.

    Example:
        >>> from headstart.tasks import Multiclass
        >>> task = Task("coins", Multiclass(2), Labelled(torch.rand(10, 2), torch.arange(10) % 2))
        >>> (carved,) = carve([task], SplitSpec(valid=0.2))
        >>> len(carved.train), len(carved.valid)
        (8, 2)
    """
    done: dict[int, tuple[Division, dict[str, X]]] = {}
    carved = []
    for task in tasks:
        data = task.train
        if not spec.valid or task.valid is not None or not data.held:
            carved.append(task)
            continue
        if id(data.x) not in done:
            division = divide(replace(spec, test=0.0), rows(data.x), task.kind.strata(data.y))
            done[id(data.x)] = division, {part: take(data.x, at) for part, at in division.items()}
        division, x = done[id(data.x)]
        train, valid = (replace(data.take(division[p]), x=x[p]) for p in ("train", "valid"))
        carved.append(replace(task, train=train, valid=valid))
    return carved
