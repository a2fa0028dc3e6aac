"""Arrays in a NumPy archive.

Shapes: ``N`` rows.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import unknown, wrong
from ..tasks import Kind, Multilabel, Regression, Task
from .labels import answers
from .options import Options
from .splits import build, divide, warn_duplicates
from .tables import existing


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
            if isinstance(archive, np.lib.npyio.NpzFile):
                return dict(archive)
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


def inputs(array: np.ndarray, what: str) -> Tensor:
    """Make an array into inputs ``(N, *)`` float32: 8-bit images over 255, all else as it is.

    Raises:
        ValueError: if it has no rows, is not of numbers, or holds NaN or infinity.
    """
    if array.ndim < 2 or not len(array) or array.dtype.kind not in "biuf":
        raise wrong(what, expected="numbers of shape (rows, ...)", found=f"{array.dtype} {array.shape}")
    bad = ~np.isfinite(array).reshape(len(array), -1).all(1)
    if bad.any():
        raise wrong(
            what,
            expected="finite numbers",
            found=f"NaN or infinity in {bad.sum()} rows, the first is row {int(bad.argmax())}",
            hint="remove these rows, or fill the gaps",
        )
    pixels = array.dtype == np.uint8 and array.ndim > 2
    return torch.from_numpy(np.asarray(array, dtype=np.float32) / (255 if pixels else 1))


def targets(
    array: np.ndarray, name: str, where: str, encoding: Mapping[str, Any] | None
) -> tuple[Kind, Tensor]:
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
    known = encoding if encoding and encoding.get("target") == name else None
    if array.dtype.kind in "iu" and known is None:  # classes however many there are
        known = {"target": name, "classes": sorted({v for v in values if v is not None})}
        if len(known["classes"]) < 2:
            known = None
    if array.dtype.kind == "f" and known is None:  # numbers, also where all are whole
        known = {"target": name, "kind": "Regression"}
    return answers(values, name, where, known)


def read_npz(argument: str, options: Options) -> list[Task]:
    """Read ``npz:file.npz#x,y``: inputs, then one or more labels, by the names of the arrays.

    Where the archive also holds ``x_test`` and ``y_test`` (and ``x_valid``, ``y_valid``) they are the
    test (and valid) part; ``x_train`` stands for ``x``. Else rows are divided by ``split``.
    """
    path, mark, after = argument.rpartition("#")
    path, keys = (path, [k.strip() for k in after.split(",")]) if mark else (argument, ["x", "y"])
    arrays, where = load_npz(options.base / path), f"`{options.base / path}`"
    if len(keys) < 2:
        raise wrong(f'"npz:{argument}"', expected='inputs and labels, as in "#x,y"', found=keys)

    def array(key: str, part: str) -> np.ndarray:
        names = [f"{key}_{part}"] if part != "train" else [key, f"{key}_train"]
        found = next((n for n in names if n in arrays), None)
        if found is None:
            raise unknown(f"array of {where}", names[0], arrays)
        return arrays[found]

    parts = ["train", *(p for p in ("valid", "test") if f"{keys[0]}_{p}" in arrays)]
    xs = [inputs(array(keys[0], p), f"`{keys[0]}` ({p}) of {where}") for p in parts]
    if len({x.shape[1:] for x in xs}) > 1:
        raise wrong(where, expected="rows of one shape", found=[tuple(x.shape) for x in xs])
    x = torch.cat(xs)
    asked = []
    for key in keys[1:]:
        columns = [array(key, p) for p in parts]
        for rows, column in zip(xs, columns, strict=True):
            if len(rows) != len(column):
                raise wrong(f"`{key}` of {where}", expected=f"{len(rows)} rows", found=len(column))
        asked.append((key, *targets(np.concatenate(columns), key, where, options.encoding)))
    if len(parts) > 1:
        ends = np.cumsum([0, *(len(rows) for rows in xs)])
        division = {p: torch.arange(a, b) for p, a, b in zip(parts, ends, ends[1:], strict=False)}
    else:
        classes = [of for _, kind, y in asked if (of := kind.strata(y)) is not None]
        groups = array(options.split.group, "train").tolist() if options.split.group else None
        strata = list(zip(*classes, strict=True)) if classes else None
        division = dict(divide(options.split, len(x), strata, groups))
    encoding = {"reader": "npz", "keys": [keys[0]], "shape": list(x.shape[1:])}
    return build(asked, x, division, encoding | warn_duplicates(x, division, where))


def encode_npz(path: Path, encoding: Mapping[str, Any]) -> Tensor:
    """Take the inputs of a new archive, with or without labels, of the shape that the encoding says."""
    arrays = load_npz(path)
    key = next((k for k in (*encoding.get("keys", ()), "x", "x_test") if k in arrays), None)
    if key is None:
        raise unknown(f"array of `{path}`", encoding.get("keys", ["x"])[0], arrays)
    x = inputs(arrays[key], f"`{key}` of `{path}`")
    if list(x.shape[1:]) != list(encoding["shape"]):
        raise wrong(f"`{key}` of `{path}`", expected=f"rows of {encoding['shape']}", found=list(x.shape[1:]))
    return x
