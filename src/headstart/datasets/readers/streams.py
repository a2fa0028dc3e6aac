"""Large files of text with a header, converted while they are read: never a whole file, nor a string a cell.

The library that cuts lines into fields is PyArrow's. It takes more for granted than our own parser in
``files.py``, so whatever is not plain to both is left to that one, which also says what is wrong with a line.

Shapes: ``N`` rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from importlib.util import find_spec
from lzma import LZMAError
from typing import Any, BinaryIO

import numpy as np

from .cells import Cells, Coded, Floats
from .written import NOTHING

BLOCK = 1 << 20  # bytes that are read at a time; larger ones are slower, and take more memory
Open = Callable[[], BinaryIO]
MISSING = sorted({form(word) for word in NOTHING for form in (str.lower, str.upper, str.title)} | {"NaN"})


def scan(opened: Open, mark: str) -> tuple[bool, int] | None:
    """Tell whether a file has quotes, and the most rows that it may have.

    ``None`` where the two parsers may cut it otherwise. They do not where there is no zero byte, and every
    quote opens or closes a whole field, or is doubled inside of one.
    """
    around = [ord(mark), ord("\n"), ord("\r"), ord('"')]
    quotes, held, ends = 0, b"\n", {b"\n": 1, b"\r": 1}
    with opened() as file:
        while block := file.read(BLOCK):
            if b"\0" in block:
                return None
            ends = {end: n + block.count(end) for end, n in ends.items()}
            data = held + block  # of which the first byte is judged, and the last waits for its next
            if b'"' in data[1:]:
                quotes, alike = _plain_quotes(data, around, quotes)
                if not alike:
                    return None
            held = data[-2:]
    quotes, alike = _plain_quotes(held + b"\n", around, quotes) if b'"' in held[1:] else (quotes, True)
    return (quotes > 0, max(ends.values())) if alike and quotes % 2 == 0 else None


def _plain_quotes(data: bytes, around: list[int], count: int) -> tuple[int, bool]:
    """Judge the quotes between the first and the last byte, of which an even number came before or not."""
    array = np.frombuffer(data, dtype=np.uint8)
    at = np.flatnonzero(array[1:-1] == ord('"')) + 1
    opening, closing = at[count % 2 :: 2], at[1 - count % 2 :: 2]
    alike = np.isin(array[opening - 1], around).all() and np.isin(array[closing + 1], around).all()
    return count + len(at), bool(alike)


def columns(opened: Open, names: Sequence[str], mark: str, texts: Collection[str]) -> dict[str, Cells] | None:
    """Read the columns of a file; ``None`` where it has to be read line by line.

    Args:
        opened: opens the file, as bytes.
        names: in its header, as they are written there.
        mark: what stands between fields.
        texts: the columns whose written text is asked for, also where all are numbers.
    """
    if find_spec("pyarrow") is None:
        return None
    import pyarrow
    from pyarrow import csv

    try:
        if (found := scan(opened, mark)) is None:
            return None
        quotes, rows = found
        cut = csv.ParseOptions(delimiter=mark, newlines_in_values=quotes)
        taken = {name: _Gathered(rows, name.strip() in texts) for name in names}
        for batch in _batches(opened, names, cut, names):
            for name in names:
                taken[name].take(batch.column(name))
        late = [name for name in names if taken[name].spoilt]
        if late:
            again = {name: _Gathered(rows, True) for name in late}
            for batch in _batches(opened, names, cut, late):
                for name in late:
                    again[name].take(batch.column(name))
            taken |= again
        return {name.strip(): some.cells() for name, some in taken.items()}
    except (pyarrow.ArrowException, OSError, EOFError, LZMAError):
        return None


def _batches(opened: Open, names: Sequence[str], cut: Any, wanted: Sequence[str]) -> Iterator[Any]:
    import pyarrow
    from pyarrow import csv

    with opened() as file:
        yield from csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=BLOCK),
            parse_options=cut,
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.string()),
                include_columns=list(wanted),
                strings_can_be_null=False,
            ),
        )


class _Gathered:
    """Gather a column block by block: as numbers while all are, else as different texts and their codes."""

    def __init__(self, rows: int, text: bool) -> None:
        self.text = text
        self.spoilt = False  # numbers came first, whose text is gone
        self.count = 0
        self.room = np.empty(rows, dtype=np.int32 if text else np.float64)  # no memory before it is filled
        self.place: dict[str, int] = {}

    def take(self, block: Any) -> None:
        if self.spoilt or not len(block):
            return
        if self.text:
            self._fill(self._codes(block))
        elif (numbers := _numbers(block)) is not None:
            self._fill(numbers)
        elif self.count:
            self.spoilt, self.room = True, np.empty(0)
        else:
            self.text, self.room = True, np.empty(len(self.room), dtype=np.int32)
            self._fill(self._codes(block))

    def _fill(self, found: np.ndarray) -> None:
        self.room[self.count : self.count + len(found)] = found
        self.count += len(found)

    def _codes(self, block: Any) -> np.ndarray:
        found, place = block.dictionary_encode(), self.place
        codes = [
            -1 if (text := word.strip()) == "" else place.setdefault(text, len(place))
            for word in found.dictionary.to_pylist()
        ]
        return np.array(codes, dtype=np.int32)[found.indices.to_numpy()]

    def cells(self) -> Cells:
        whole = self.room[: self.count]
        return Coded(list(self.place), whole) if self.text else Floats(whole)


def _numbers(block: Any) -> np.ndarray | None:
    """Read a block of texts as numbers, NaN where one is missing; ``None`` where one is none."""
    import pyarrow
    from pyarrow import compute

    try:
        return compute.cast(block, pyarrow.float64()).to_numpy(zero_copy_only=False)
    except pyarrow.ArrowInvalid:
        pass
    try:
        short = compute.utf8_trim_whitespace(block)
        missing = compute.is_in(short, value_set=pyarrow.array(MISSING))
        there = compute.if_else(missing, pyarrow.scalar(None, pyarrow.string()), short)
        return compute.cast(there, pyarrow.float64()).to_numpy(zero_copy_only=False)
    except pyarrow.ArrowInvalid:
        return None
