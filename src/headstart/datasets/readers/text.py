"""Text as token numbers: 0 is padding, 1 an unknown word.

Shapes: ``N`` rows, ``L`` tokens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import wrong
from ...tasks import Task
from ..options import Options, Reader
from .tables import Table, load, table_tasks

WORDS, LENGTH = 30_000, 256
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def words(text: str | None) -> list[str]:
    """Cut text into lower-case words and punctuation marks.

    Example:
        >>> words("It's a Bolt, no?")
        ["it's", 'a', 'bolt', ',', 'no', '?']
    """
    return _WORD.findall((text or "").lower())


CUTS: dict[str, Callable[[str | None], list[str]]] = {
    "words": words,
    "spaces": lambda text: (text or "").split(),
}


def vocabulary(rows: Sequence[Sequence[str]], most: int = WORDS) -> list[str]:
    """List the commonest tokens, ties in the order of the alphabet; number 2 is the first of them."""
    counts = Counter(token for row in rows for token in row)
    return sorted(counts, key=lambda token: (-counts[token], token))[:most]


def token_ids(rows: Sequence[Sequence[str]], known: Sequence[str], length: int) -> Tensor:
    """Number tokens, ``(N, L)`` int64; longer rows are cut, shorter ones end in 0."""
    number = {token: k for k, token in enumerate(known, start=2)}
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    for row, tokens in zip(ids, rows, strict=True):
        numbers = [number.get(token, 1) for token in tokens[:length]]
        row[: len(numbers)] = torch.tensor(numbers, dtype=torch.long)
    return ids


def fit_tokens(rows: Sequence[Sequence[str]], *, length: int = LENGTH) -> dict[str, Any]:
    """Learn vocabulary and length from train rows: at most 30,000 words and ``length`` tokens."""
    return {"vocabulary": vocabulary(rows), "length": max(1, min(length, max(map(len, rows))))}


def _text_column(table: Table, names: Sequence[str]) -> str:
    strings = [n for n in names if any(isinstance(v, str) for v in table.labels(n))]
    if "text" in names:
        return "text"
    if len(strings) != 1:
        raise wrong(
            f"text column of {table.where}",
            expected="a column named `text`, or one column of strings",
            found=strings or list(table.columns),
            hint="rename the column to `text`",
        )
    return strings[0]


def _encode(
    table: Table, names: Sequence[str], train: Tensor, options: Options
) -> tuple[Tensor, dict[str, Any]]:
    known = options.encoding
    column = _text_column(table, names) if known is None or known["column"] not in names else known["column"]
    tokens = "words" if known is None else known["tokens"]
    rows = [CUTS[tokens](None if v is None else str(v)) for v in table.column(column)]
    fitted = fit_tokens([rows[i] for i in train.tolist()]) if known is None else known
    x = token_ids(rows, fitted["vocabulary"], fitted["length"])
    kept = {key: fitted[key] for key in ("vocabulary", "length")}
    return x, {"column": column, "tokens": tokens} | kept


def read_text(argument: str, options: Options) -> list[Task]:
    """Read ``text:file.csv#label``: a CSV, TSV or Parquet file with a column of text.

    The column is the one named ``text``, or the only one of strings. Words are lower-case; the
    vocabulary is that of the train rows (at most 30,000 words), the length that of the longest train
    row (at most 256 tokens).
    """
    return table_tasks(argument, options, "text", _encode)


def encode_text(path: Path, encoding: Mapping[str, Any]) -> Tensor:
    """Number the words of a new file, with or without labels, ``(N, L)``; ``.txt`` has a row a line."""
    if path.suffix == ".txt":
        lines = path.read_text(encoding="utf-8").splitlines()
    else:
        table = load(path)
        column = encoding.get("column", "")
        lines = list(
            table.column(column if column in table.columns else _text_column(table, list(table.columns)))
        )
    return token_ids(
        [CUTS[encoding["tokens"]](line) for line in lines], encoding["vocabulary"], encoding["length"]
    )


READER = Reader(read_text, 'a table with a column of text: "text:reviews.csv#label"', files=True, labels=True)
