"""CSV and Parquet: columns of numbers and of categories become one row of features.

Shapes: ``N`` rows, ``D`` features.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import did_you_mean, unknown, wrong
from ..tasks import Kind, Task
from .labels import FREE_TEXT_CLASSES, NOTHING, answers, typed
from .options import Options, need
from .splits import Division, build, divide, given, warn_duplicates

CATEGORIES = 100
TYPOS = 0.1  # of a column: more words than this make it one of categories
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}


@dataclass(frozen=True)
class Table:
    """Hold the columns of one file; ``None`` is a missing value.

    Args:
        columns: values by name; strings throughout where ``written``, else Python's own types.
        where: the file, for messages.
        written: whether strings may be written numbers (CSV), or are meant as strings (Parquet).
    """

    columns: Mapping[str, Sequence[Any]]
    where: str
    written: bool = True

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> Sequence[Any]:
        """Return a column; ``ValueError`` with the nearest name where there is none."""
        if name not in self.columns:
            raise unknown(f"column of {self.where}", name, self.columns)
        return self.columns[name]

    def labels(self, name: str) -> Sequence[Any]:
        """Return a column with numbers and booleans read, where they were written."""
        return typed(self.column(name)) if self.written else self.column(name)


def existing(path: Path) -> Path:
    """Return ``path``, or raise ``FileNotFoundError`` with the nearest name beside it.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: if it is a folder, or an empty file.
    """
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, beside[:200]) if beside else f"there is no folder {path.parent}"
        raise wrong(f"`{path}`", expected="a file", found="nothing there", hint=hint, error=FileNotFoundError)
    if path.is_dir():
        raise wrong(
            f"`{path}`",
            expected="a file",
            found="a folder",
            hint='read folders of images by "images:folder"',
        )
    if path.stat().st_size == 0:
        raise wrong(f"`{path}`", expected="rows", found="an empty file")
    return path


def load_csv(path: Path) -> Table:
    """Read comma-, semicolon- or tab-separated text with a header; also ``.gz`` and ``.xz``.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is empty, binary, cut off, or a row is shorter or longer than the header.
    """
    existing(path)
    try:
        with OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8-sig", newline="") as file:
            return parse_csv(file.read(), f"`{path}`")
    except (UnicodeDecodeError, EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise wrong(
            f"`{path}`",
            expected="text in UTF-8",
            found=f"a binary, cut-off or other file ({error})",
            hint="if it is text, save it as UTF-8",
        ) from None


def parse_csv(text: str, where: str, header: Sequence[str] | None = None) -> Table:
    """Split text into columns; every row must have as many fields as the header."""
    if "\0" in text:
        raise wrong(where, expected="text", found="a binary file")
    first = text.lstrip().split("\n", 1)[0]
    if not first:
        raise wrong(where, expected="a header and rows", found="an empty file")
    mark = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True, skipinitialspace=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if not row:
                continue
            header = header or [name.strip() for name in row]
            rows.append(row)
            if len(row) != len(header):
                raise wrong(
                    f"line {reader.line_num} of {where}",
                    expected=f"{len(header)} fields, as in the header",
                    found=len(row),
                    hint="the file may be cut off, or a field needs quotes",
                )
    except csv.Error as error:
        raise wrong(
            f"line {reader.line_num} of {where}",
            expected="fields with closed quotes",
            found=str(error),
            hint="the file may be cut off, or a quote needs doubling",
        ) from None
    assert header is not None
    body = rows[1:] if rows and [f.strip() for f in rows[0]] == list(header) else rows
    bad = [f"no name for column {at}" for at, name in enumerate(header, start=1) if not name]
    bad += [f"`{name}` {n} times" for name, n in Counter(header).items() if name and n > 1]
    if bad:
        hint = "name every column once; does the file have a header?"
        raise wrong(f"header of {where}", expected="distinct names", found=", ".join(bad), hint=hint)
    if not body:
        raise wrong(where, expected="rows below the header", found="none")
    cells = [
        [None if len(v := f.strip()) < 5 and v.lower() in NOTHING else v for f in column]
        for column in zip(*body, strict=True)
    ]
    return Table(dict(zip(header, cells, strict=True)), where)


def load_parquet(path: Path) -> Table:
    """Read a Parquet file.

    Raises:
        FileNotFoundError: if the file is missing.
        ImportError: if pyarrow is missing.
        ValueError: if it is empty, or not a whole Parquet file.
    """
    need("pyarrow", "tables")
    import pyarrow
    import pyarrow.parquet

    existing(path)
    try:
        read = pyarrow.parquet.ParquetFile(path).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise wrong(f"`{path}`", expected="a whole Parquet file", found=f"another ({error})") from None
    if not read.num_rows:
        raise wrong(f"`{path}`", expected="rows", found="none")
    plain = (bool, int, float, str)
    columns = {
        name: [v if v is None or isinstance(v, plain) else str(v) for v in read.column(name).to_pylist()]
        for name in read.column_names
    }
    return Table(
        {n: [None if v != v else v for v in column] for n, column in columns.items()},
        f"`{path}`",
        written=False,
    )


def load(path: Path) -> Table:
    """Read Parquet where the file's name says so, else CSV."""
    return load_parquet(path) if path.suffix in (".parquet", ".pq") else load_csv(path)


def _number(value: Any) -> float | None:
    """Read one value, NaN where it is missing; ``None`` where it is no number."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
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


def fit_features(table: Table, names: Sequence[str], train: Tensor) -> dict[str, Any]:
    """Learn from the train rows how columns become features.

    A column of numbers is standardised; where train rows miss it, the mean stands in and one more
    feature says so. Any other column becomes one feature for each of its values, at most the 100
    commonest. In a file of text, a word among nine numbers or more is taken for a slip.

    Returns:
        ``{"features": {name: {"mean", "std", "missing"} or {"categories"}}}``, fit for JSON.

    Raises:
        ValueError: if a column of numbers holds a few words, or infinity.
    """
    features: dict[str, Any] = {}
    for name in names:
        values = table.column(name)
        numbers = [_number(v) for v in values]
        _check_typos(table, name, numbers)
        words = not table.written and str in set(map(type, values))
        if words or None in numbers:
            counts = Counter(str(values[i]) for i in train.tolist() if values[i] is not None)
            features[name] = {"categories": sorted(c for c, _ in counts.most_common(CATEGORIES))}
            continue
        column = torch.tensor(numbers, dtype=torch.float64)
        _finite(column, values, name, table.where)
        there = column[train][~column[train].isnan()]
        mean, std = (float(there.mean()), float(there.std(correction=0))) if len(there) else (0.0, 0.0)
        features[name] = {"mean": mean, "std": std or 1.0, "missing": len(there) < len(train)}
    return {"features": features}


def features(table: Table, encoding: Mapping[str, Any]) -> Tensor:
    """Make the rows of a table into features ``(N, D)`` float32, as ``fit_features`` learned.

    A category that train did not have gives zeros.

    Raises:
        ValueError: if a column is missing, or holds words or infinity where numbers were.
    """
    made: list[Tensor] = []
    for name, how in encoding["features"].items():
        values = table.column(name)
        if "categories" in how:
            number = {c: k for k, c in enumerate(how["categories"])}
            hot = torch.zeros(len(values), len(number))
            at = [(i, number[str(v)]) for i, v in enumerate(values) if v is not None and str(v) in number]
            if at:
                hot[tuple(torch.tensor(at).T)] = 1
            made.append(hot)
            continue
        numbers = [_number(v) for v in values]
        if words := _words(values, numbers):
            row, word = words[0]
            raise wrong(
                f"column `{name}` of {table.where}",
                expected="numbers",
                found=f"{word!r} in row {row}",
                hint="correct it, or leave it empty if it is missing",
            )
        column = (torch.tensor(numbers, dtype=torch.float64) - how["mean"]) / how["std"]
        _finite(column, values, name, table.where)
        made.append(column.nan_to_num(0).float()[:, None])
        if how["missing"]:
            made.append(column.isnan().float()[:, None])
    return torch.cat(made, 1)


def columns_after(reference: str) -> list[str]:
    """List the label columns of a reference.

    Example:
        >>> columns_after("csv:train.csv#income,married"), columns_after("csv:train.csv")
        (['income', 'married'], [])
    """
    _, mark, after = reference.rpartition("#")
    return [name.strip() for name in after.split(",")] if mark else []


Encoder = Callable[[Table, Sequence[str], Tensor, Options], tuple[Tensor, dict[str, Any]]]


def table_tasks(argument: str, options: Options, reader: str, encoder: Encoder) -> list[Task]:
    """Read the tasks of ``file#label,...``: labels, division, then inputs made by ``encoder``."""
    path, mark, after = argument.rpartition("#")
    if not (mark and path and after):
        file, label = (path, after) if mark else (argument, "")
        raise wrong(
            f'"{reader}:{argument}"',
            expected="a file and its label columns",
            found="no file before the `#`" if label else "no `#` with a label after it",
            hint=f'write "{reader}:{file or "train.csv"}#{label or "label"}"',
        )
    table = load(options.base / path)
    labels = columns_after(mark + after)
    inputs = (options.encoding or {}).get("features", ())
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
    x, encoding = encoder(table, [n for n in table.columns if n not in spare], division["train"], options)
    encoding = {"reader": reader} | encoding | warn_duplicates(x, division, table.where)
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


def _features(
    table: Table, names: Sequence[str], train: Tensor, options: Options
) -> tuple[Tensor, dict[str, Any]]:
    if not names:
        raise wrong(table.where, expected="columns beside the label", found=list(table.columns))
    known = options.encoding
    encoding = fit_features(table, names, train) if known is None else {"features": known["features"]}
    return features(table, encoding), encoding


def read_csv(argument: str, options: Options) -> list[Task]:
    """Read ``csv:train.csv#label``, a table with a header; see ``fit_features`` and ``answers``."""
    return table_tasks(argument, options, "csv", _features)


def read_parquet(argument: str, options: Options) -> list[Task]:
    """Read ``parquet:train.parquet#label``, in the same way as CSV."""
    return table_tasks(argument, options, "parquet", _features)


def encode_table(path: Path, encoding: Mapping[str, Any]) -> Tensor:
    """Make the rows of a new file, with or without labels, into features ``(N, D)``."""
    return features(load(path), encoding)
