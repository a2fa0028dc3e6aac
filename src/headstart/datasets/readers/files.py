"""Tables as they are in files and in memory: columns by name.

Shapes: ``N`` rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np

from ...errors import did_you_mean, near_names, wrong
from ..options import need
from .cells import Cells, Coded, Floats, cells
from .labels import typed
from .memory import columns, plain
from .streams import columns as columns_of
from .written import nfc

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}


@dataclass(frozen=True)
class Table:
    """Hold the columns of one file; ``None`` is a missing value.

    Args:
        columns: values by name; strings or numbers where ``written``, else Python's own types.
        where: the file, for messages.
        written: whether strings may be written numbers (CSV), or are meant as strings (Parquet).
        semicolons: whether fields stand between these, as where a comma is in numbers.
    """

    columns: Mapping[str, Sequence[Any]]
    where: str
    written: bool = True
    semicolons: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", {nfc(name): cells(v) for name, v in self.columns.items()})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> Cells:
        """Return a column; ``ValueError`` with the nearest name where there is none."""
        self.check_columns([name])
        return cast(Cells, self.columns[nfc(name)])

    def take(self, name: str) -> Cells:
        """Take a column off the table, so that its memory can be used again."""
        column = self.column(name)
        cast(dict[str, Cells], self.columns).pop(nfc(name))
        return column

    def check_columns(self, names: Iterable[str], why: str = "") -> None:
        """Raise ``ValueError`` with the columns that are not there; ``why`` says who reads them."""
        if lost := [name for name in names if nfc(name) not in self.columns]:
            told = listed(lost, '"')
            raise wrong(
                self.where,
                expected=f"a table with {told}{why}",
                found="no column of that name" if len(lost) == 1 else "no columns of these names",
                hint=did_you_mean(lost[0], self.columns),
            )

    def inputs(self, name: str) -> Cells:
        """Return a column that is to be inputs: where it is written, a question mark is a missing value."""
        column = self.column(name)
        if not self.written or isinstance(column, Floats) or "?" not in column.values:
            return column
        return column.recoded([None if v == "?" else v for v in column.values])

    def words(self, name: str) -> bool:
        """Tell whether a column holds strings that are no numbers."""
        column = self.column(name)
        if isinstance(column, Floats):
            return False
        return any(isinstance(v, str) for v in (typed(column.values) if self.written else column.values))


def existing(path: Path) -> Path:
    """Return ``path``, or raise ``FileNotFoundError`` with the nearest name beside it.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: if it is a folder, or an empty file.
    """
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = near_names(path.name, beside) if beside else f"there is no folder {path.parent}"
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


def listed(names: Sequence[str], mark: str = "`", most: int = 8) -> str:
    """Name columns in a message, as many as one reads.

    Example:
        >>> listed(["age"]), listed(["age", "job"], '"'), listed("abcd", most=2)
        ('column `age`', 'columns "age", "job"', 'columns `a`, `b` and 2 more')
    """
    told = ", ".join(f"{mark}{name}{mark}" for name in names[:most])
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"column{'s' * (len(names) > 1)} {told}{more}"


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open text, also ``.gz`` and ``.xz``; ``ValueError`` where it turns out to be none."""
    existing(path)
    try:
        with OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    except (UnicodeDecodeError, EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise wrong(
            f"`{path}`",
            expected="text in UTF-8",
            found=f"a binary, cut-off or other file ({error})",
            hint="if it is text, save it as UTF-8",
        ) from None


def lines(path: Path) -> list[str]:
    """Read the lines of a text, whatever else their characters are; also ``.gz`` and ``.xz``."""
    with _opened(path) as file:
        return re.sub("\r\n?", "\n", file.read()).removesuffix("\n").split("\n")


def load_csv(path: Path, texts: Collection[str] = ()) -> Table:
    """Read comma-, semicolon- or tab-separated text with a header; also ``.gz`` and ``.xz``.

    Args:
        path: of the file.
        texts: the columns whose written text is asked for, also where it is that of numbers.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is empty, binary, cut off, or a row is shorter or longer than the header.
    """
    with _opened(path) as file:
        names, mark = _header(file)
    if names and not _bad(name.strip() for name in names):
        taken = columns_of(lambda: OPENERS.get(path.suffix, open)(path, "rb"), names, mark, texts)
        if taken and len(next(iter(taken.values()))):
            return Table(taken, f"`{path}`", semicolons=mark == ";")
    with _opened(path) as file:
        return parse_csv(file.read(), f"`{path}`")


def _header(file: TextIO) -> tuple[list[str], str]:
    """Read the names of the columns as they are written, and what stands between them."""
    first = next((line for line in file if line.strip()), "")
    mark = _mark(first)
    with _long_fields():
        return next(csv.reader(chain([first], file), delimiter=mark, skipinitialspace=True), []), mark


def _mark(line: str) -> str:
    """Tell what stands between the fields of a line, whatever stands in its quotes."""
    bare = re.sub(r'"[^"]*("|$)', "", line)
    return max(",;\t", key=bare.count)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let fields be of any length; the limit is the module's, so it is put back."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def parse_csv(text: str, where: str, header: Sequence[str] | None = None) -> Table:
    """Split text into columns; every row must have as many fields as the header."""
    if "\0" in text:
        raise wrong(where, expected="text", found="a binary file")
    first = text.lstrip().split("\n", 1)[0]
    if not first:
        raise wrong(where, expected="a header and rows", found="an empty file")
    mark = _mark(first)
    with _long_fields():
        rows = list(_rows(text, mark, where, header))
    header = header or [name.strip() for name in rows[0]]
    body = rows[1:] if rows and [f.strip() for f in rows[0]] == list(header) else rows
    return _written(header, body, where, semicolons=mark == ";")


def _rows(text: str, mark: str, where: str, header: Sequence[str] | None) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            if not row:
                continue
            header = header or row
            if len(row) != len(header):
                raise wrong(
                    f"line {reader.line_num} of {where}",
                    expected=f"{len(header)} fields, as in the header",
                    found=len(row),
                    hint="the file may be cut off, or a field needs quotes",
                )
            yield row
    except csv.Error as error:
        raise wrong(
            f"line {reader.line_num} of {where}",
            expected="fields with closed quotes",
            found=str(error),
            hint="the file may be cut off, or a quote needs doubling",
        ) from None


def _bad(header: Iterable[str]) -> list[str]:
    """List what is wrong with the names of columns."""
    header = list(header)
    bad = [f"no name for column {at}" for at, name in enumerate(header, start=1) if not name]
    return bad + [f"`{name}` {n} times" for name, n in Counter(header).items() if name and n > 1]


def _check_names(header: Iterable[str], where: str, hint: str) -> None:
    if bad := _bad(header):
        raise wrong(f"header of {where}", expected="distinct names", found=", ".join(bad), hint=hint)


def _written(
    header: Sequence[str], body: Sequence[Sequence[str]], where: str, semicolons: bool = False
) -> Table:
    """Make a table of rows of text, in which nothing says that a value is missing."""
    _check_names(header, where, "name every column once; does the file have a header?")
    if not body:
        raise wrong(where, expected="rows below the header", found="none")
    taken = [Coded.of(f.strip() or None for f in column) for column in zip(*body, strict=True)]
    return Table(dict(zip(header, taken, strict=True)), where, semicolons=semicolons)


def load_parquet(path: Path) -> Table:
    """Read a Parquet file.

    Raises:
        FileNotFoundError: if the file is missing.
        ImportError: if pyarrow is missing.
        ValueError: if it is empty, or not a whole Parquet file.
    """
    with _parquet(path) as file:
        names = file.schema_arrow.names
        if not file.metadata.num_rows:
            raise wrong(f"`{path}`", expected="rows", found="none")
        _check_names(names, f"`{path}`", "name every column once")
        # a column at a time: all of them as they lie in the file take as much again
        taken = {name: _arrow(file.read([name]).column(name)) for name in names}
    return Table(taken, f"`{path}`", written=False)


def _arrow(column: Any) -> Cells:
    """Take a column of a Parquet file: numbers as they are, anything else by its different values."""
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_floating(kind) or (types.is_integer(kind) and kind.bit_width <= 32):
        return Floats(np.require(column.cast(pyarrow.float64()).to_numpy(), requirements="W"))
    if not (types.is_string(kind) or types.is_large_string(kind)):
        return Coded.of(plain(column.to_pylist()))
    found = column.combine_chunks().dictionary_encode()
    return Coded(found.dictionary.to_pylist(), found.indices.fill_null(-1).to_numpy())


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    need("pyarrow", "tables")
    import pyarrow
    import pyarrow.parquet

    existing(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        raise wrong(f"`{path}`", expected="a whole Parquet file", found=f"another ({error})") from None


def load_frame(frame: Any) -> Table | None:
    """Take a pandas or polars DataFrame; ``None`` for anything else. Its strings are meant as strings."""
    taken = columns(frame)
    return None if taken is None else Table(taken, "the DataFrame", written=False)


def load_jsonl(path: Path) -> Table:
    """Read lines of JSON, each an object with the columns as keys; also ``.gz`` and ``.xz``.

    Strings are meant as strings, as in Parquet. A key that a line lacks is missing there.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is empty, or a line is no JSON object.
    """
    records: list[dict[str, Any]] = []
    with _opened(path) as file:
        for at, line in enumerate(file, start=1):
            if line.strip():
                records.append(_record(line, f"line {at} of `{path}`"))
    if not records:
        raise wrong(f"`{path}`", expected="a JSON object in every line", found="no lines")
    names = dict.fromkeys(name for record in records for name in record)
    return Table({n: plain(r.get(n) for r in records) for n in names}, f"`{path}`", written=False)


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        found = f"a {type(record).__name__}"
    except json.JSONDecodeError as error:
        record, found = None, f"other text ({error.msg})"
    if isinstance(record, dict) and record:
        return record
    hint = 'convert a list by pandas.read_json("a.json").to_json("a.jsonl", orient="records", lines=True)'
    raise wrong(where, expected='a JSON object, as in {"age": 31, "job": "cook"}', found=found, hint=hint)


def load_excel(path: Path) -> Table:
    """Read the first sheet of an Excel workbook (``.xlsx``) as if it had been saved as CSV.

    Raises:
        FileNotFoundError: if the file is missing.
        ImportError: if openpyxl is missing.
        ValueError: if it is empty, or no such workbook.
    """
    existing(path)
    convert = f"save it as CSV, as by: soffice --headless --convert-to csv {path}"
    if find_spec("openpyxl") is None:
        hint = f'run: pip install "headstart[excel]"; or {convert}'
        raise wrong(
            f"`{path}`", expected="read by `openpyxl`", found="no such package", hint=hint, error=ImportError
        )
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheets = book.worksheets
        rows = [row for row in sheets[0].values if any(v is not None for v in row)]
        book.close()
    except (
        openpyxl.utils.exceptions.InvalidFileException,
        OSError,
        KeyError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise wrong(
            f"`{path}`", expected="a whole .xlsx workbook", found=f"another ({error})", hint=convert
        ) from None
    if len(sheets) > 1:
        warnings.warn(f"`{path}`: the first of its {len(sheets)} sheets is read", UserWarning, stacklevel=2)
    text = [["" if v is None else str(v) for v in row] for row in rows] or [[]]
    return _written([name.strip() for name in text[0]], text[1:], f"`{path}`")


FORMATS: dict[str, str] = {
    ".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".xlsx": "excel", ".xlsm": "excel", ".xls": "excel",
}  # fmt: skip
LOADERS: dict[str, Callable[[Path], Table]] = {
    "parquet": load_parquet,
    "jsonl": load_jsonl,
    "excel": load_excel,
}


def format_of(path: Path) -> str:
    """Tell by the file's name which reader of tables is for it.

    Example:
        >>> format_of(Path("a.parquet")), format_of(Path("a.jsonl.gz")), format_of(Path("a.txt"))
        ('parquet', 'jsonl', 'csv')
    """
    return FORMATS.get((path.with_suffix("") if path.suffix in OPENERS else path).suffix.lower(), "csv")


def load(path: Path, reader: str = "", texts: Collection[str] = ()) -> Table:
    """Read a table as the file's name says, unless that says nothing and the reader does.

    ``texts`` are the columns whose written text is asked for, also where it is that of numbers.
    """
    by_name = format_of(path)
    how = reader if by_name == "csv" and reader in LOADERS else by_name
    return LOADERS[how](path) if how in LOADERS else load_csv(path, texts)


def header(path: Path, reader: str = "") -> list[str]:
    """List the columns of a table; of CSV and Parquet without reading the rows."""
    if (by_name := format_of(path)) == "parquet":
        with _parquet(path) as table:
            return list(map(nfc, table.schema_arrow.names))
    if by_name != "csv" or reader in ("jsonl", "excel"):
        return list(load(path, reader).columns)
    with _opened(path) as file:
        return [nfc(name.strip()) for name in _header(file)[0]]
