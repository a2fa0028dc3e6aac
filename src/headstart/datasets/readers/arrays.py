"""Arrays in a NumPy archive.

Shapes: ``N`` rows.
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from ...errors import unknown, wrong
from ...tasks import Kind, Multilabel, Regression, Task
from ...tasks.arrays import channels_first, inputs, ready
from ...tasks.encoding import Encoding, common
from ..options import Options, Reader
from ..splits import build, check_apart, divide, warn_duplicates
from .columns import Numbers, far_off, numbers_of
from .files import existing
from .labels import answers
from .numbered import numbered

CHUNK = 1 << 18  # numbers that are standardised at a time
BRIGHT = 200  # a value of an image that was not divided by the most that it can be


@dataclass(frozen=True, kw_only=True)
class ArrayEncoding(Encoding):
    """Rows of numbers are standardised, images stay: of 8 bits over 255, channels first; see `Encoding`.

    Args:
        keys: names that the inputs may have in an archive.
        shape: of a row.
        columns: of rows of numbers, how each column is standardised; none where arrays stay as they are.
    """

    readers: ClassVar[tuple[str, ...]] = ("npz",)
    keys: tuple[str, ...] = ()
    shape: tuple[int, ...]
    columns: tuple[Numbers, ...] = field(default=(), repr=False)

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        columns = tuple(
            Numbers(mean, std, missing=False, most=most) for mean, std, most in about.get("columns", ())
        )
        shape = tuple(about["shape"])
        return cls(**common(about), keys=tuple(about.get("keys", ())), shape=shape, columns=columns)

    def _own(self) -> dict[str, Any]:
        columns = {"columns": [[how.mean, how.std, how.most] for how in self.columns]} if self.columns else {}
        return {"keys": list(self.keys), "shape": list(self.shape)} | columns

    def row_shape(self) -> tuple[int, ...]:
        """Return the shape of a row."""
        return self.shape

    def preparation(self) -> list[str]:
        """Say how an array becomes rows."""
        steps = [f"take rows of shape {list(self.shape)} as float32; divide 8-bit images by 255"]
        scaled = (
            "with the three numbers of `columns` for each: (value - first) / second, or 0 where that is 0"
        )
        ends = "; where the third is above 0, end at plus and minus it"
        return [*steps, *([scaled + ends] if self.columns else [])]

    def scaled(self, x: Tensor) -> Tensor:
        """Standardise rows, where they are rows of numbers."""
        if not self.columns:
            return x
        mean, std, most = torch.tensor(
            [(how.mean, how.std, how.most or math.inf) for how in self.columns], dtype=torch.float64
        ).T
        made = torch.empty_like(x)
        some = max(1, CHUNK // len(self.columns))
        for part, out in zip(x.split(some), made.split(some), strict=True):
            each = ((part - mean) / std.where(std > 0, 1.0)).where(std > 0, 0.0)
            out.copy_(each.clamp(-most, most))
        return made

    def encode(self, path: Path) -> Tensor:
        """Take the inputs of an archive, with or without labels."""
        arrays = load_npz(path)
        key = next((k for k in (*self.keys, "x", "x_test") if k in arrays), None)
        if key is None:
            raise unknown(f"array of `{path}`", (*self.keys, "x")[0], arrays)
        return self.scaled(ready(arrays[key], self.shape, f"`{key}` of `{path}`"))

    def _made(self, value: Any) -> Tensor:
        """Take an array, a DataFrame or lists, of numbers alone."""
        return self.scaled(ready(value, self.shape))


def standardised(x: Tensor, train: Tensor) -> tuple[Numbers, ...]:
    """Learn from the train rows of ``x (N, D)`` how columns are standardised; one of one value is 0."""
    return tuple(numbers_of(x[train, at].double()) for at in range(x.shape[1]))


def _warn_scale(x: Tensor, train: Tensor, columns: Sequence[Numbers], what: str) -> None:
    """Warn of columns with rows that are far from all others, and of images that are far from order 1."""
    told = [
        f"column {at} of {what} {said}"
        for at, how in enumerate(columns)
        if (said := far_off(x[train, at].double(), how))
    ]
    told += [
        f"column {at} of {what} {said}"
        for at in range(len(columns))
        if (said := numbered(f"column {at}", x[:, at].double().numpy()))
    ]
    if x.ndim > 2 and float(x.abs().max()) > BRIGHT:
        told.append(f"{what} reaches {float(x.abs().max()):g}; divide it, so that it is of order 1")
    for said in told:
        warnings.warn(said, UserWarning, stacklevel=4)


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """Read every array of an ``.npz`` file, never a pickle.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is empty, cut off, not an archive, or holds Python objects.
    """
    existing(path)
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            return {name: archive[name] for name in archive.files}
    except AttributeError:
        found = "a single array"
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        pickled = "pickle" in str(error)  # NumPy would go on to advise loading it, which runs its code
        found = "Python objects, or another kind of file" if pickled else f"a cut-off or other file ({error})"
    raise wrong(
        f"`{path}`",
        expected="a whole .npz archive of plain arrays",
        found=found,
        hint="write it by `numpy.savez(path, x=x, y=y)`, without object arrays",
    )


def targets(array: np.ndarray, name: str, where: str, encoding: Encoding | None) -> tuple[Kind, Tensor]:
    """Infer what an array of labels asks for, and number it.

    Whole numbers, booleans and strings of one axis are classes (-100 is missing), floats are a
    regression (NaN is missing); two axes of floats are a regression of several outputs, two axes of
    0 and 1 are several labels per row.
    """
    if array.ndim == 2 and array.dtype.kind == "f":
        return Regression(array.shape[1]), torch.from_numpy(array.astype(np.float32))
    if array.ndim == 2 and array.dtype.kind in "biu" and np.isin(array, (0, 1)).all():
        return Multilabel(array.shape[1]), torch.from_numpy(array.astype(np.float32))
    if array.ndim != 1 or array.dtype.kind not in "biufU":
        raise wrong(
            f"`{name}` of {where}", expected="one label per row", found=f"{array.dtype} {array.shape}"
        )
    values = [None if v in (-100, "") else v for v in array.tolist()]
    if encoding is not None and encoding.target == name:
        return answers(values, name, where, encoding)
    if array.dtype.kind == "f":  # numbers, also where all are whole
        return answers(values, name, where, kind="numbers")
    classes = sorted({v for v in values if v is not None}) if array.dtype.kind in "iu" else []
    return answers(values, name, where, classes=classes if len(classes) > 1 else None)  # however many


def read_npz(argument: str, options: Options) -> list[Task]:
    """Read ``npz:file.npz#x,y``: inputs, then one or more labels, by the names of the arrays.

    Where the archive also holds ``x_test`` and ``y_test`` (and ``x_valid``, ``y_valid``) they are the
    test (and valid) part; ``x_train`` stands for ``x``. Else rows are divided by ``split``. Images with their
    channels last become ``(C, H, W)``, with a warning; columns of numbers, ``(N, D)``, are standardised by
    the train rows, as those of ``csv:`` are.
    """
    path, mark, after = argument.rpartition("#")
    path, keys = (path, [k.strip() for k in after.split(",")]) if mark else (argument, ["x", "y"])
    arrays, where = load_npz(options.base / path), f"`{options.base / path}`"
    if len(keys) < 2:
        raise wrong(f'"npz:{argument}"', expected='inputs and labels, as in "#x,y"', found=keys)

    def named(key: str, part: str) -> str:
        names = [f"{key}_{part}"] if part != "train" else [key, f"{key}_train"]
        found = next((n for n in names if n in arrays), None)
        if found is None:
            raise unknown(f"array of {where}", names[0], arrays)
        return found

    def array(key: str, part: str) -> np.ndarray:
        return arrays[named(key, part)]

    parts = ["train", *(p for p in ("valid", "test") if f"{keys[0]}_{p}" in arrays)]
    for key in keys[1:]:
        named(key, "train")
    taken = {p: named(keys[0], p) for p in parts}
    # each array is given up as it is read: those of float64 are twice as large as what becomes of them
    xs = [inputs(arrays.pop(name), f"`{keys[0]}` ({p}) of {where}") for p, name in taken.items()]
    if len({x.shape[1:] for x in xs}) > 1:
        raise wrong(where, expected="rows of one shape", found=[tuple(x.shape) for x in xs])
    lengths = [len(rows) for rows in xs]
    x = channels_first(given := torch.cat(xs) if len(xs) > 1 else xs[0])
    if x is not given:
        warnings.warn(
            f"`{keys[0]}` of {where}, of shape {tuple(given.shape)}, was taken for images with their "
            f"channels last; rows are {tuple(x.shape[1:])}: channels, height, width",
            UserWarning,
            stacklevel=2,
        )
    del given, xs
    asked = []
    for key in keys[1:]:
        columns = [array(key, p) for p in parts]
        for length, column in zip(lengths, columns, strict=True):
            if length != len(column):
                raise wrong(f"`{key}` of {where}", expected=f"{length} rows", found=len(column))
        asked.append((key, *targets(np.concatenate(columns), key, where, options.encoding)))
    if len(parts) > 1:
        ends = np.cumsum([0, *lengths])
        division = {p: torch.arange(a, b) for p, a, b in zip(parts, ends, ends[1:], strict=False)}
        groups = None
        if options.split.group:
            groups = np.concatenate([array(options.split.group, p) for p in parts]).tolist()
            check_apart(division, groups, where, options.split.group)
    else:
        classes = [of for _, kind, y in asked if (of := kind.strata(y)) is not None]
        groups = array(options.split.group, "train").tolist() if options.split.group else None
        strata = list(zip(*classes, strict=True)) if classes else None
        division = dict(divide(options.split, len(x), strata, groups))
    count, shape = warn_duplicates(x, division, where), tuple(x.shape[1:])
    known = options.encoding
    if known is not None:
        scales = known.columns if isinstance(known, ArrayEncoding) else ()
    else:
        scales = standardised(x, division["train"]) if x.ndim == 2 else ()
    if known is None:
        _warn_scale(x, division["train"], scales, f"`{keys[0]}` of {where}")
    encoding = ArrayEncoding(reader="npz", keys=(keys[0],), shape=shape, columns=scales, duplicates=count)
    if scales and len(scales) != shape[0]:
        raise wrong(f"`{keys[0]}` of {where}", expected=f"{len(scales)} columns, as then", found=shape[0])
    x = encoding.scaled(x)
    return build(asked, x, division, encoding, groups=groups)


READER = Reader(read_npz, 'arrays: "npz:file.npz#x,y"', encoding=ArrayEncoding)
