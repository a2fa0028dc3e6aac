"""From the labels in a file to a kind of answer and numbered targets."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ...errors import wrong
from ...tasks import Kind, Label, Multiclass, Regression
from ...tasks.encoding import Encoding
from ...tasks.kinds import MISSING

Value = Label | float | None
FEW_VALUES, MANY_VALUES, ROWS_EACH = 6, 20, 5  # of whole numbers that are labels
FREE_TEXT_CLASSES = 20
NOTHING = frozenset(["", "na", "n/a", "nan", "null", "none", "?"])


def typed(values: Sequence[Any]) -> list[Value]:
    """Read written values as whole numbers, else numbers, else booleans, else strings, all alike.

    Example:
        >>> typed(["1", "2", None]), typed(["1", "0.5"]), typed(["true", "FALSE"]), typed(["1", "b"])
        ([1, 2, None], [1.0, 0.5], [True, False], ['1', 'b'])
    """
    there = [v for v in values if v is not None]
    for kind in (int, float):
        try:
            numbers = [kind(v) for v in there if "_" not in v]
        except ValueError:
            continue
        if len(numbers) == len(there):
            return [None if v is None else kind(v) for v in values]
    if all(v.lower() in ("true", "false") for v in there):
        return [None if v is None else v.lower() == "true" for v in values]
    return list(values)


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
    encoding of the same column, its kind and classes hold.

    Raises:
        ValueError: if all labels are missing, there is one class only, nearly every label is another
            (a column of names or dates), a label is not one of the encoding's classes, or a number
            is infinite.
    """
    values = [None if v is None or v != v else v for v in values]
    if encoding is not None and encoding.target == name:
        classes = encoding.classes
        kind = "numbers" if encoding.kind == "Regression" else kind
    there = [v for v in values if v is not None]
    sort = _sort(there)
    there = [int(v) for v in there] if sort == "whole" else there
    what = f"label column `{name}` of {where}"
    if not there:
        raise wrong(what, expected="at least two labels", found=f"{len(values)} rows, all missing")
    if classes is None and kind is None and sort in ("whole", "fractions"):
        kind = _kind_of_numbers(there, sort, what)
    if classes is None and kind == "numbers":
        return Regression(), _numbers(values, sort, what)
    if classes is None:
        there = [f"{v:g}" for v in there] if sort == "fractions" else there  # a class has a name, or a number
        classes = sorted(set(there))
        if len(classes) > _recurring(there) and kind is None:
            raise wrong(
                what,
                expected="classes that recur, or numbers",
                found=f"{len(classes)} distinct values in {len(there)} rows",
                hint='choose another column, or say `kind="classes"`',
            )
    if len(classes) < 2:
        raise wrong(
            what,
            expected="at least two classes",
            found=f"one class, {classes[0]!r}",
            hint="choose another column, or add rows of another class",
        )
    of = Multiclass(classes)
    y = torch.full((len(values),), MISSING)
    y[torch.tensor([v is not None for v in values])] = of.encode(there)
    return of, y


def _sort(there: Sequence[Any]) -> Literal["words", "fractions", "truths", "whole"]:
    """Tell what labels are, all together."""
    if any(isinstance(v, str) for v in there):
        return "words"
    if any(v % 1 != 0 for v in there):
        return "fractions"
    return "truths" if any(isinstance(v, bool) for v in there) else "whole"


def _recurring(there: Sequence[Any]) -> float:
    """Give the most classes that so many labels can be of, if they are to recur."""
    return max(FREE_TEXT_CLASSES, len(there) / 2)


def _kind_of_numbers(there: Sequence[Any], sort: str, what: str) -> Literal["classes", "numbers"]:
    """Tell what numbers are as labels, with a warning where whole ones might be either."""
    counts = Counter(there)
    if sort == "fractions" or len(counts) <= FEW_VALUES:
        return "numbers" if sort == "fractions" else "classes"
    codes = (
        min(counts) in (0, 1)
        and max(counts) - min(counts) < len(counts)
        and min(counts.values()) >= ROWS_EACH
    )
    few = len(counts) <= MANY_VALUES and len(there) >= ROWS_EACH * len(counts)
    kind, other = ("classes", "numbers") if codes or few else ("numbers", "classes")
    warnings.warn(
        f"{what}: {len(counts)} different whole numbers, taken as {kind}; "
        f'say `kind = "{other}"` for {other}, or `kind = "{kind}"` to be told no more',
        UserWarning,
        stacklevel=5,
    )
    return "classes" if codes or few else "numbers"


def _numbers(values: Sequence[Any], sort: str, what: str) -> Tensor:
    for row, value in enumerate(values):
        if value is not None and (sort == "words" or abs(value) == math.inf):
            raise wrong(what, expected="finite numbers", found=f"{value!r} in row {row}")
    return torch.tensor([math.nan if v is None else float(v) for v in values])
