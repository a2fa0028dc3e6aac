"""CSV and Parquet: columns of numbers and of categories become one row of features.

Shapes: ``N`` rows, ``D`` features.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor

from ...errors import wrong
from ...tasks import Kind, Task
from ...tasks.encoding import Encoding, common
from ..options import Options, Reader
from ..splits import Division, build, divide, given, warn_duplicates
from .files import Table, load, load_frame
from .labels import FREE_TEXT_CLASSES, answers

CATEGORIES = 100
TYPOS = 0.1  # of a column: more words than this make it one of categories


def _number(value: Any) -> float | None:
    """Read one value, NaN where it is missing; ``None`` where it is no number."""
    if value is None:
        return math.nan
    if value is True or value is False or "_" in str(value):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _words(values: Sequence[Any], numbers: Sequence[float | None]) -> list[tuple[int, Any]]:
    """List the rows whose value is no number, and that value."""
    return [(row, v) for row, (v, n) in enumerate(zip(values, numbers, strict=True)) if n is None]


def _check_typos(table: Table, name: str, numbers: Sequence[float | None]) -> None:
    """Raise ``ValueError`` for the few words of a written column of numbers, which are slips of the hand."""
    values = table.column(name)
    words, there = _words(values, numbers), len(values) - sum(v is None for v in values)
    if table.written and 0 < len(words) <= TYPOS * there:
        row, word = words[0]
        raise wrong(
            f"column `{name}` of {table.where}",
            expected=f"numbers, as {there - len(words)} of its {there} values are",
            found=f"{word!r} in row {row}" + (f", and {len(words) - 1} more" if words[1:] else ""),
            hint="correct it, or leave it empty if it is missing; for categories, write names like c3",
        )


def _finite(column: Tensor, values: Sequence[Any], name: str, where: str) -> None:
    """Raise ``ValueError`` where a number is infinite, or becomes so in float32."""
    if (bad := column.float().isinf()).any():
        row = int(bad.nonzero()[0])
        told = "infinity" if math.isinf(float(values[row])) else f"{values[row]}, which float32 cannot hold,"
        raise wrong(
            f"column `{name}` of {where}",
            expected="finite numbers",
            found=f"{told} in row {row}",
            hint="correct it, or leave it empty if it is missing",
        )


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: standardised; where some were missing, one more feature says which are.

    Args:
        mean: of the train rows.
        std: of the train rows, or 1 where all are alike.
        missing: whether train rows missed it.
    """

    mean: float
    std: float
    missing: bool

    @property
    def width(self) -> int:
        """The number of features."""
        return 1 + self.missing

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"mean": self.mean, "std": self.std, "missing": self.missing}

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make features ``(N, width)``; the mean stands in for a missing number."""
        numbers = [_number(v) for v in values]
        if words := _words(values, numbers):
            row, word = words[0]
            raise wrong(
                f"column `{name}` of {where}",
                expected="numbers",
                found=f"{word!r} in row {row}",
                hint="correct it, or leave it empty if it is missing",
            )
        column = (torch.tensor(numbers, dtype=torch.float64) - self.mean) / self.std
        _finite(column, values, name, where)
        made = column.nan_to_num(0).float()[:, None]
        return torch.cat([made, column.isnan().float()[:, None]], 1) if self.missing else made


@dataclass(frozen=True)
class Categories:
    """A column of categories: one feature for each; a category that train did not have gives zeros.

    Args:
        categories: the commonest of the train rows.
    """

    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """The number of features."""
        return len(self.categories)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"categories": list(self.categories)}

    def make(self, values: Sequence[Any], name: str, where: str) -> Tensor:
        """Make features ``(N, width)``."""
        number = {c: k for k, c in enumerate(self.categories)}
        hot = torch.zeros(len(values), len(number))
        at = [(i, number[str(v)]) for i, v in enumerate(values) if v is not None and str(v) in number]
        if at:
            hot[tuple(torch.tensor(at).T)] = 1
        return hot


@dataclass(frozen=True, kw_only=True)
class TableEncoding(Encoding):
    """Columns become features; see `Encoding` for what all have.

    Args:
        features: how each column does, by name.
    """

    readers: ClassVar[tuple[str, ...]] = ("csv", "parquet")
    features: Mapping[str, Numbers | Categories]

    @classmethod
    def fit(cls, table: Table, names: Sequence[str], train: Tensor, reader: str) -> Self:
        """Learn from the train rows how columns become features.

        A column of numbers is standardised; where train rows miss it, the mean stands in and one more
        feature says so. Any other column becomes one feature for each of its values, at most the 100
        commonest. In a file of text, a word among nine numbers or more is taken for a slip.

        Raises:
            ValueError: if there are no columns, or one of numbers holds a few words, or infinity.
        """
        if not names:
            raise wrong(table.where, expected="columns beside the label", found=list(table.columns))
        return cls(reader=reader, features={name: _fit_column(table, name, train) for name in names})

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        features = {
            name: Categories(tuple(how["categories"])) if "categories" in how else Numbers(**how)
            for name, how in about["features"].items()
        }
        return cls(**common(about), features=features)

    def _own(self) -> dict[str, Any]:
        return {"features": {name: how.to_json() for name, how in self.features.items()}}

    def row_shape(self) -> tuple[int, ...]:
        """Return the number of features, all columns together."""
        return (sum(how.width for how in self.features.values()),)

    def inputs(self) -> Collection[str]:
        """Return the columns."""
        return self.features.keys()

    def make(self, table: Table) -> Tensor:
        """Make the rows of a table into features ``(N, D)`` float32.

        Raises:
            ValueError: if a column is missing, or holds words or infinity where numbers were.
        """
        made = [how.make(table.column(name), name, table.where) for name, how in self.features.items()]
        return torch.cat(made, 1)

    def encode(self, path: Path) -> Tensor:
        """Make the rows of a file, with or without labels, into features."""
        return self.make(load(path))

    def _made(self, value: Any) -> Tensor:
        """Make the rows of a pandas or polars DataFrame, with or without labels, into features."""
        if (table := load_frame(value)) is not None:
            return self.make(table)
        raise wrong(
            "rows of a table",
            expected=f"a DataFrame with the columns {', '.join(self.features)}",
            found=type(value).__name__,
            hint="or pass a tensor of features, as `task.test.x` is",
            error=TypeError,
        )


def _fit_column(table: Table, name: str, train: Tensor) -> Numbers | Categories:
    values = table.column(name)
    numbers = [_number(v) for v in values]
    _check_typos(table, name, numbers)
    if None in numbers or (not table.written and table.words(name)):
        counts = Counter(str(values[i]) for i in train.tolist() if values[i] is not None)
        return Categories(tuple(sorted(c for c, _ in counts.most_common(CATEGORIES))))
    column = torch.tensor(numbers, dtype=torch.float64)
    _finite(column, values, name, table.where)
    there = column[train][~column[train].isnan()]
    mean, std = (float(there.mean()), float(there.std(correction=0))) if len(there) else (0.0, 0.0)
    return Numbers(mean, std or 1.0, missing=len(there) < len(train))


def columns_after(reference: str) -> list[str]:
    """List the label columns of a reference.

    Example:
        >>> columns_after("csv:train.csv#income,married"), columns_after("csv:train.csv")
        (['income', 'married'], [])
    """
    _, mark, after = reference.rpartition("#")
    return [name.strip() for name in after.split(",")] if mark else []


Encoder = Callable[[Table, Sequence[str], Tensor, str, Encoding | None], tuple[Tensor, Encoding]]


def read_tasks(argument: str, options: Options, reader: str, encoder: Encoder) -> list[Task]:
    """Read the tasks of ``file#label,...``, with inputs made by ``encoder``."""
    path, mark, after = argument.rpartition("#")
    if not (mark and path and after):
        file, label = (path, after) if mark else (argument, "")
        raise wrong(
            f'"{reader}:{argument}"',
            expected="a file and its label columns",
            found="no file before the `#`" if label else "no `#` with a label after it",
            hint=f'write "{reader}:{file or "train.csv"}#{label or "label"}"',
        )
    return table_tasks(load(options.base / path), columns_after(mark + after), options, reader, encoder)


def table_tasks(
    table: Table, labels: Sequence[str], options: Options, reader: str, encoder: Encoder
) -> list[Task]:
    """Make the tasks of a table: labels, division, then inputs made by ``encoder``."""
    inputs = options.encoding.inputs() if options.encoding is not None else ()
    if told := [name for name in labels if name in inputs]:
        raise wrong(
            f"label column `{told[0]}` of {table.where}",
            expected="none of the columns that the encoding makes inputs of",
            found=f"{sorted(inputs)}",
            hint="train a model that does not read it, or choose another label",
        )
    for name in labels:
        if len(set(table.column(name))) > FREE_TEXT_CLASSES:  # no set of classes that numbers are among
            _check_typos(table, name, [_number(v) for v in table.column(name)])
    targets = [(n, *answers(table.labels(n), n, table.where, options.encoding, options.kind)) for n in labels]
    spare = {*labels, *options.drop, "split", options.split.group}
    division = _division(table, targets, options, "split" in labels)
    names = [n for n in table.columns if n not in spare]
    x, encoding = encoder(table, names, division["train"], reader, options.encoding)
    encoding = replace(encoding, duplicates=warn_duplicates(x, division, table.where))
    return build(targets, x, division, encoding)


def _division(
    table: Table, targets: Sequence[tuple[str, Kind, Tensor]], options: Options, label: bool
) -> Division:
    group = options.split.group
    groups = [str(v) for v in table.column(group)] if group else None
    if "split" in table.columns and not label:
        division = given(table.columns["split"], table.where)
        if groups:
            sides = {part: {groups[i] for i in at.tolist()} for part, at in division.items()}
            both = sorted(g for g in set(groups) if sum(g in side for side in sides.values()) > 1)
            if both:
                raise wrong(
                    f"`split` column of {table.where}",
                    expected=f"no `{group}` on two sides",
                    found=both[0],
                )
        return division
    classes = [of for _, kind, y in targets if (of := kind.strata(y)) is not None]
    return divide(options.split, len(table), list(zip(*classes, strict=True)) if classes else None, groups)


def encode_columns(
    table: Table, names: Sequence[str], train: Tensor, reader: str, known: Encoding | None
) -> tuple[Tensor, Encoding]:
    """Make features of columns, as the encoding says that is known, or as the train rows do."""
    if known is None:
        made = TableEncoding.fit(table, names, train, reader)
    else:
        made = replace(cast(TableEncoding, known).alike(), reader=reader)
    return made.make(table), made


def read_csv(argument: str, options: Options) -> list[Task]:
    """Read ``csv:train.csv#label``, a table with a header; see ``TableEncoding.fit`` and ``answers``."""
    return read_tasks(argument, options, "csv", encode_columns)


def read_parquet(argument: str, options: Options) -> list[Task]:
    """Read ``parquet:train.parquet#label``, in the same way as CSV."""
    return read_tasks(argument, options, "parquet", encode_columns)


CSV = Reader(read_csv, 'a table with a header: "csv:train.csv#label"', encoding=TableEncoding, labels=True)
PARQUET = Reader(
    read_parquet,
    'a table: "parquet:train.parquet#income,married"',
    "tables",
    encoding=TableEncoding,
    labels=True,
)
