"""Tables as they are in files and in memory: columns by name.

Shapes: ``N`` rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import did_you_mean, unknown, wrong
from ..options import need
from .labels import NOTHING, typed
from .memory import columns, plain

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

    def words(self, name: str) -> bool:
        """Tell whether a column holds strings that are no numbers."""
        return any(isinstance(v, str) for v in self.labels(name))


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
    columns = {name: plain(read.column(name).to_pylist()) for name in read.column_names}
    return Table(columns, f"`{path}`", written=False)


def load_frame(frame: Any) -> Table | None:
    """Take a pandas or polars DataFrame; ``None`` for anything else. Its strings are meant as strings."""
    taken = columns(frame)
    return None if taken is None else Table(taken, "the DataFrame", written=False)


def load(path: Path) -> Table:
    """Read Parquet where the file's name says so, else CSV."""
    return load_parquet(path) if path.suffix in (".parquet", ".pq") else load_csv(path)
