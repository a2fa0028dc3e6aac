"""From the labels in a file to a kind of answer and numbered targets."""

from __future__ import annotations

import math
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ...errors import wrong
from ...tasks import Kind, Label, Multiclass, Regression
from ...tasks.encoding import Encoding
from ...tasks.kinds import MISSING
from .cells import Coded, coded
from .written import CODE, nfc, nothing, spelled

Value = Label | float | None
FEW_VALUES, MANY_VALUES, ROWS_EACH = 6, 20, 5  # of whole numbers that are labels
FREE_TEXT_CLASSES = 20
RARE, OF_ROWS = 3, 100  # a class of fewer rows, among so many, is told


def typed(values: Sequence[Any]) -> list[Value]:
    """Read written values as whole numbers, else numbers, else booleans, else strings, all alike.

    What says that a number is missing, as ``NA``, is missing among numbers and booleans alone. Where a whole
    number has zeros before it, all are codes, and stay strings.

    Example:
        >>> typed(["1", "2", "NA"]), typed(["1", "0.5"]), typed(["true", "FALSE"]), typed(["1", "NA", "b"])
        ([1, 2, None], [1.0, 0.5], [True, False], ['1', 'NA', 'b'])
        >>> typed(["01", "10"])
        ['01', '10']
    """
    there = [v for v in values if isinstance(v, str) and not nothing(v)]
    codes = any(CODE.match(v) and v.strip("+-").isdigit() for v in there)
    for kind in (int, float):
        try:
            numbers = [kind(v) for v in there if "_" not in v]
        except ValueError:
            continue
        if len(numbers) == len(there) and not codes:
            return [kind(v) if isinstance(v, str) and not nothing(v) else None for v in values]
    if there and all(v.lower() in ("true", "false") for v in there):
        return [v.lower() == "true" if isinstance(v, str) and not nothing(v) else None for v in values]
    return [None if v is None else nfc(v) for v in values]


def named(values: Sequence[Any]) -> list[Value]:
    """Read written values as ``typed`` does, but fractions by their text, since they name classes.

    Example:
        >>> named(["3.9", "3.10", "NA"]), named(["1.0", "2"])
        (['3.9', '3.10', None], [1.0, 2.0])
    """
    made = typed(values)
    if not any(isinstance(v, float) and not v.is_integer() for v in made):
        return made
    return [
        None if m is None else spelled(m) if m % 1 == 0 else nfc(v) for v, m in zip(values, made, strict=True)
    ]


def answers(
    values: Sequence[Any],
    name: str,
    where: str,
    encoding: Encoding | None = None,
    kind: Literal["classes", "numbers"] | None = None,
    classes: Sequence[Label] | None = None,
) -> tuple[Kind, Tensor]:
    """Infer what a column of labels asks for, unless ``kind`` or ``classes`` say it, and number it.

    Strings and booleans are classes. Whole numbers, also where they are written ``3.0`` as after a gap in
    pandas, are numbers where they have over 20 different values, or over 6 with under 5 rows each on
    average, unless they count from 0 or 1 without a gap with 5 rows each, as codes do; of over 6 values a
    warning tells which. Other numbers are a regression. A missing label gives -100 or NaN. With an
    encoding of the same column, its kind and classes hold, and a label is the class that is written alike.

    Raises:
        ValueError: if all labels are missing, there is one class only, nearly every label is another
            (a column of names or dates), a label is not one of the encoding's classes, or a number
            is infinite.
    """
    column = coded(values)
    if encoding is not None and encoding.target == name:
        classes = encoding.classes
        kind = "numbers" if encoding.kind == "Regression" else kind
    what = f"label column `{name}` of {where}"
    counts = {v: n for v, n in zip(column.values, column.counts(), strict=True) if n}
    if not counts:
        raise wrong(what, expected="at least two labels", found=f"{len(column)} rows, all missing")
    if classes is not None:
        return _of_classes(classes, column)
    sort = _sort(list(counts))
    if sort == "whole":
        column = column.recoded([int(v) for v in column.values])
        counts = dict(zip(column.values, column.counts(), strict=True))
    if kind is None and sort in ("whole", "fractions"):
        kind = _kind_of_numbers(counts, sort, what)
    if kind == "numbers":
        return Regression(), _numbers(column, sort, what)
    if sort == "fractions":  # a class has a name, or a number
        column = column.recoded([spelled(v) for v in column.values])
        counts = dict(zip(column.values, column.counts(), strict=True))
    found, rows = sorted(counts), sum(counts.values())
    if len(found) > max(FREE_TEXT_CLASSES, rows / 2) and kind is None:  # few recur
        raise wrong(
            what,
            expected="classes that recur, or numbers",
            found=f"{len(found)} distinct values in {rows} rows",
            hint='choose another column, or say `kind="classes"`',
        )
    _warn_classes(counts, what)
    if len(found) < 2:
        raise wrong(
            what,
            expected="at least two classes",
            found=f"one class, {found[0]!r}",
            hint="choose another column, or add rows of another class",
        )
    return _of_classes(found, column)


def _of_classes(classes: Sequence[Label], column: Coded) -> tuple[Kind, Tensor]:
    """Number labels by classes: one written alike, else one that is the same number or truth."""
    of = Multiclass(classes)
    alike: dict[str, Label] = {spelled(c): c for c in reversed(of.classes)}
    exact: dict[str, Label] = {nfc(str(c)): c for c in reversed(of.classes)}
    exact |= {nfc(c): c for c in of.classes if isinstance(c, str)}
    bare = Counter(map(_bare, of.classes))
    alike |= {b: c for c in of.classes if bare[b := _bare(c)] == 1 and b not in alike}
    met: list[Any] = []
    for value in column.values:
        text = nfc(str(value))
        met.append(exact.get(text, alike.get(spelled(value), alike.get(_bare(value), value))))
    met = [None if v not in of.classes and nothing(str(v)) else v for v in met]
    there = [v for v in met if v is not None]
    number = dict(zip(there, of.encode(there).tolist(), strict=True))
    return of, torch.from_numpy(column.spread([number.get(v, MISSING) for v in met], MISSING, np.int64))


def _bare(value: Any) -> str:
    """Write a code without the zeros before it, as programs of tables do."""
    text = nfc(str(value))
    return text.lstrip("+-0") if CODE.match(text) else text


def _warn_classes(counts: Mapping[Label, int], what: str) -> None:
    """Warn of classes that say nothing, are written in several ways, or are of a few rows among many."""
    said = [
        f"{v!r} is a class of its own ({n} rows); leave the field empty where a label is missing"
        for v, n in counts.items()
        if isinstance(v, str) and nothing(v)
    ]
    same = defaultdict(list)
    for v in counts:
        if isinstance(v, str):
            same[_seen(v)].append(v)
    said += [
        f"classes {', '.join(map(repr, some))} differ by case or spaces alone"
        for some in same.values()
        if len(some) > 1
    ]
    rare = [v for v, n in counts.items() if n < RARE]
    if rare and sum(counts.values()) >= OF_ROWS:
        shown = ", ".join(f"{v!r} ({counts[v]})" for v in rare[:3])
        said.append(f"{len(rare)} of {len(counts)} classes have under {RARE} rows, such as {shown}")
    for told in said:
        warnings.warn(f"{what}: {told}", UserWarning, stacklevel=5)


def _seen(text: str) -> str:
    """Write a name without what hardly anybody sees: case, spaces, marks of no width, forms of one letter."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if not c.isspace() and unicodedata.category(c) != "Cf")


def _sort(there: Sequence[Any]) -> Literal["words", "fractions", "truths", "whole"]:
    """Tell what labels are, all together."""
    if any(isinstance(v, str) for v in there):
        return "words"
    if any(v % 1 != 0 for v in there):
        return "fractions"
    return "truths" if any(isinstance(v, bool) for v in there) else "whole"


def _kind_of_numbers(counts: Mapping[Any, int], sort: str, what: str) -> Literal["classes", "numbers"]:
    """Tell what numbers are as labels, with a warning where whole ones might be either."""
    if sort == "fractions" or len(counts) <= FEW_VALUES:
        return "numbers" if sort == "fractions" else "classes"
    codes = (
        min(counts) in (0, 1)
        and max(counts) - min(counts) < len(counts)
        and min(counts.values()) >= ROWS_EACH
    )
    few = len(counts) <= MANY_VALUES and sum(counts.values()) >= ROWS_EACH * len(counts)
    kind, other = ("classes", "numbers") if codes or few else ("numbers", "classes")
    warnings.warn(
        f"{what}: {len(counts)} different whole numbers, taken as {kind}; "
        f'say `kind = "{other}"` for {other}, or `kind = "{kind}"` to be told no more',
        UserWarning,
        stacklevel=5,
    )
    return "classes" if codes or few else "numbers"


def _numbers(column: Coded, sort: str, what: str) -> Tensor:
    """Bring labels that are numbers to float32, NaN where one is missing."""
    for row, value in enumerate(column):
        if value is not None and (sort == "words" or abs(value) == math.inf):
            raise wrong(what, expected="finite numbers", found=f"{value!r} in row {row}")
    return torch.from_numpy(column.spread([float(v) for v in column.values], math.nan, np.float32))
