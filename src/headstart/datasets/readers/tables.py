"""Tables: columns of numbers, of categories and of dates become one row of features.

Shapes: ``N`` rows, ``D`` features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from torch import Tensor

from ...errors import wrong
from ...tasks import Kind, Task
from ...tasks.arrays import ready
from ...tasks.encoding import Encoding, common
from ...tasks.kinds import present
from ..options import LabelKind, Options, Reader
from ..splits import Division, build, check_apart, divide, given, warn_duplicates
from .cells import Floats, coded
from .columns import (
    Categories,
    Column,
    Numbers,
    Plain,
    check_typos,
    column_from_json,
    fit_column,
    reading,
    told,
)
from .files import Table, format_of, header, listed, load, load_frame
from .ids import Ids
from .labels import FREE_TEXT_CLASSES, answers, named, typed
from .written import nfc


@dataclass(frozen=True, kw_only=True)
class TableEncoding(Encoding):
    """Columns become features; see `Encoding` for what all have.

    Args:
        features: how each column does, by name.
    """

    readers: ClassVar[tuple[str, ...]] = ("csv", "parquet", "jsonl", "excel")
    features: Mapping[str, Column]

    @classmethod
    def fit(
        cls,
        table: Table,
        names: Sequence[str],
        train: Tensor,
        reader: str,
        ids: Collection[str] = (),
        like: Mapping[str, Column] | None = None,
    ) -> Self:
        """Learn from the train rows how columns become features.

        A column of numbers is standardised; where train rows miss it, the mean stands in and one more
        feature says so. Dates become where they lie in time, year, week and day. Any other column
        becomes one feature for each of its values, at most the 100 commonest. Left out, with a warning,
        are columns with one value in all train rows (other data would be far from it), and those of at
        least 20 words of which over 90 % differ. In a file of text, a word among nine numbers or more is
        taken for a slip. Columns of ``ids`` become the number of their value, from 1 on. Columns of
        ``like`` become what they are there.

        Raises:
            ValueError: if no column is left, one of ``ids`` is not there, or one of numbers holds a few
                words, or infinity.
        """
        table.check_columns(ids, ", which are to be ids")
        known = {name: how for name, how in (like or {}).items() if name in names}
        found: dict[str, tuple[Column | None, str]] = {
            name: (how, how.remark(table.column(name))) for name, how in known.items()
        }
        found |= {
            name: (Ids.fit(table.inputs(name), train), "") if name in ids else fit_column(table, name, train)
            for name in names
            if name not in known
        }
        said = _remarks({name: remark for name, (_, remark) in found.items()})
        features = {name: how for name, (how, _) in found.items() if how is not None}
        if not features:
            told = "; ".join(said) or list(table.columns)
            raise wrong(table.where, expected="columns beside the label that tell rows apart", found=told)
        for remark in said:
            warnings.warn(f"{table.where}: {remark}", UserWarning, stacklevel=5)
        return cls(reader=reader, features=features)

    @classmethod
    def plain(cls, names: Sequence[str]) -> Self:
        """Read columns of numbers, which stay as they are.

        Example:
            >>> TableEncoding.plain(["angle", "speed"]).rows([[0.5, 2.0]])
            tensor([[0.5000, 2.0000]])
        """
        return cls(reader="csv", features=dict.fromkeys(names, Plain()))

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        features = {name: column_from_json(how) for name, how in about["features"].items()}
        return cls(**common(about), features=features)

    def _own(self) -> dict[str, Any]:
        return {"features": {name: how.to_json() for name, how in self.features.items()}}

    def facts(self) -> dict[str, Any]:
        """Say where ids stand in a row, and how many there are of each."""
        ends = accumulate(how.width for how in self.features.values())
        at = {
            str(end - 1): len(how.ids)
            for end, how in zip(ends, self.features.values(), strict=True)
            if isinstance(how, Ids)
        }
        return {"ids": at} if at else {}

    def row_shape(self) -> tuple[int, ...]:
        """Return the number of features, all columns together."""
        return (sum(how.width for how in self.features.values()),)

    def feature_names(self) -> list[str]:
        """Name the features: ``age``, ``job = cook``, ``age is missing``."""
        named: list[str] = []
        for name, how in self.features.items():
            if isinstance(how, Categories):
                named += [f"{name} = {category}" for category in how.categories]
            elif isinstance(how, Numbers):
                named += [name] * (how.std > 0) + [f"{name} is missing"] * how.missing
            else:
                named += [f"{name}, {k}" for k in range(how.width)]
        return named

    def preparation(self) -> list[str]:
        """Say what becomes of the columns."""
        return [
            "turn each column of `features`, in that order, into the float32 numbers below, all in one row",
            "with `mean`, `std`, `missing`: (value - mean) / std, 0 where it is missing; nothing of that "
            "where std is 0. Where `missing` is true one more number, 1 where it is missing, else 0",
            "with `style`: numbers are written with its marks before decimals and between thousands, and its "
            "unit; with `most`: the first number ends at plus and minus it",
            "with `ids`: the place of the value, as text, in that list, from 1 on; 0 where it is not there",
            "with `plain`: the number as it is",
            "with `categories`: one number for each, 1 where the value, as text, is that one, else 0; "
            "truths are true and false, whole numbers have no point, accents are composed (NFC)",
            "with `format` (a date): (days since 1970 - mean) / std, then sine and cosine of 2 pi times: the "
            "day of the year / 365.25, the weekday / 7 (Monday is 0), and where `hours` is true the part of "
            "the day; all 0 where it is missing; `missing` as above",
        ]

    def inputs(self) -> Collection[str]:
        """Return the columns."""
        return self.features.keys()

    def make(self, table: Table) -> Tensor:
        """Make the rows of a table into features ``(N, D)`` float32; its columns are taken off it.

        Raises:
            ValueError: if a column is missing, or holds words or infinity where numbers were.
        """
        table.check_columns(self.features, ", which the model reads")
        x, at = torch.empty(len(table), *self.row_shape()), 0
        for name, how in self.features.items():
            x[:, at : at + how.width] = how.make(table.take(name), name, table.where)
            at += how.width
        return x

    def written(self) -> list[str]:
        """List the columns that are no plain numbers."""
        plain = [
            name
            for name, how in self.features.items()
            if isinstance(how, Plain) or (isinstance(how, Numbers) and not how.style)
        ]
        return [name for name in self.features if name not in plain]

    def make_new(self, table: Table) -> Tensor:
        """Make rows that it was not learned from, with a warning where most values of a column are new."""
        table.check_columns(self.features, ", which the model reads")
        remarks = {name: how.remark(table.column(name)) for name, how in self.features.items()}
        made = self.make(table)
        for name, remark in remarks.items():
            if remark:
                warnings.warn(f"column `{name}` of {table.where}: {remark}", UserWarning, stacklevel=4)
        return made

    def encode(self, path: Path) -> Tensor:
        """Make the rows of a file, with or without labels, into features."""
        return self.make_new(load(path, texts=self.written()))

    def _made(self, value: Any) -> Tensor:
        """Make the rows of a pandas or polars DataFrame, with or without labels, into features."""
        if (table := load_frame(value)) is not None:
            return self.make_new(table)
        if all(isinstance(how, Plain) for how in self.features.values()):
            return ready(value, self.row_shape())
        raise wrong(
            "rows of a table",
            expected=f"a DataFrame with {listed([*self.features])}",
            found=type(value).__name__,
            hint="or pass a tensor of features, as `task.test.x` is",
            error=TypeError,
        )


def _remarks(by_column: Mapping[str, str]) -> list[str]:
    """Say what columns have become, where that may surprise, each remark once."""
    return [
        f"{listed([name for name, said in by_column.items() if said == remark])} {remark}"
        for remark in dict.fromkeys(filter(None, by_column.values()))
    ]


def cut_argument(argument: str, base: Path | str = Path()) -> tuple[str, str]:
    """Cut ``file#labels`` at its # into a file and what follows; a name may hold others.

    Example:
        >>> cut_argument("train.csv#income,married"), cut_argument("train.csv")
        (('train.csv', 'income,married'), ('train.csv', ''))
    """
    places = [at for at, mark in enumerate(argument) if mark == "#"]
    if not places:
        return argument, ""
    there = (at for at in places if at and (Path(base) / argument[:at]).is_file())
    at = next(there, places[-1])
    return argument[:at], argument[at + 1 :]


def label_names(after: str, columns: Collection[str] = ()) -> list[str]:
    """List the label columns that follow a file; a name may hold commas, where it is one of the columns.

    Example:
        >>> label_names("income,married"), label_names("pay, yearly,married", ["pay, yearly", "married"])
        (['income', 'married'], ['pay, yearly', 'married'])
    """
    words, named = after.split(",") if after else [], []
    while words:
        lengths = (n for n in range(len(words), 0, -1) if nfc(",".join(words[:n]).strip()) in columns)
        length = next(lengths, 1)
        named.append(nfc(",".join(words[:length]).strip()))
        words = words[length:]
    return named


Encoder = Callable[[Table, Sequence[str], Tensor, str, Encoding | None], tuple[Tensor, Encoding]]


def read_tasks(argument: str, options: Options, reader: str, encoder: Encoder) -> list[Task]:
    """Read the tasks of ``file#label,...``, with inputs made by ``encoder``."""
    path, after = cut_argument(argument, options.base)
    if not (path and after):
        raise wrong(
            f'"{reader}:{argument}"',
            expected="a file and its label columns",
            found="no file before the `#`" if after else "no `#` with a label after it",
            hint=f'write "{reader}:{path or "train.csv"}#{after or "label"}"',
        )
    check_format(argument, reader, options.base)
    file = options.base / path
    names = label_names(after, header(file, reader) if "," in after else ())
    known = options.encoding.written() if options.encoding is not None else options.ids
    known = [*known, *(options.like.written() if options.like is not None else ())]
    table = load(file, reader, {*names, *known, "split", "text", options.split.group})
    return table_tasks(table, names, options, reader, encoder)


def check_format(argument: str, reader: str, base: Path | str = Path()) -> None:
    """Raise ``ValueError`` where a file's name says that another reader of tables is for it."""
    by_name = format_of(Path(cut_argument(argument, base)[0]))
    if reader in ("csv", "jsonl", "excel") and by_name not in ("csv", "parquet", reader):
        raise wrong(
            f'reader of "{reader}:{argument}"',
            expected=f'"{by_name}:"',
            found=f'"{reader}:"',
            hint=f'write "{by_name}:{argument}"',
        )


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
    kinds = {name: _said(name, options) for name in labels}
    targets = [
        (n, *answers(_labels(table, n, kind), n, table.where, options.encoding, kind))
        for n, kind in kinds.items()
    ]
    group = options.split.group
    spare = {*labels, *map(nfc, options.drop), "split", *({nfc(group)} - set(options.ids))}
    groups = list(map(str, table.column(group))) if group else None
    division = _division(table, targets, options, groups, "split" in labels)
    names = [n for n in table.columns if n not in spare]
    x, encoding = encoder(table, names, division["train"], reader, options.encoding)
    encoding = replace(encoding, duplicates=warn_duplicates(x, division, table.where))
    return build(targets, x, division, encoding, groups=groups)


def _said(name: str, options: Options) -> LabelKind | None:
    """Tell what a label is to be, as the encoding says that is known, or the caller."""
    known = options.encoding
    if known is not None and known.target == name and known.kind:
        return "classes" if known.classes else "numbers"
    return options.kinds.get(name)


def _labels(table: Table, name: str, kind: LabelKind | None) -> Sequence[Any]:
    """Take the labels of a column, and read numbers that are written in another way than 1234.5."""
    table.check_columns([name], ", the label, which is empty where a row has none")
    column = coded(table.column(name))
    counts = dict(zip(column.values, column.counts(), strict=True))
    few = len(counts) <= FREE_TEXT_CLASSES  # a set of classes that numbers are among
    if kind != "classes" and not (few and kind is None):
        read = reading(counts, table)
        check_typos(table, name, read, counts)
        if not read.words and (read.style or read.blanks):
            said = told(read, counts)
            warnings.warn(f"label column `{name}` of {table.where}: {said}", UserWarning, stacklevel=5)
            return column.recoded(read.array)
    if not table.written or isinstance(table.column(name), Floats):
        return column
    made = (named if kind == "classes" else typed)(column.values)
    lost = [value for value, label in zip(column.values, made, strict=True) if label is None]
    for value in lost if len(lost) < len(made) else ():
        said = f"{value!r} is taken as missing, in {counts[value]} rows"
        warnings.warn(f"label column `{name}` of {table.where}: {said}", UserWarning, stacklevel=5)
    return column.recoded(made)


def _division(
    table: Table,
    targets: Sequence[tuple[str, Kind, Tensor]],
    options: Options,
    groups: Sequence[str] | None,
    label: bool,
) -> Division:
    if "split" in table.columns and not label:
        division = given(table.columns["split"], table.where)
        check_apart(division, groups, f"`split` column of {table.where}", options.split.group)
        return division
    classes = [of for _, kind, y in targets if (of := kind.strata(y)) is not None]
    known = torch.stack([present(y) for _, _, y in targets]).any(0)
    return divide(options.split, len(table), np.array(classes).T if classes else None, groups, known)


def encode_columns(
    table: Table,
    names: Sequence[str],
    train: Tensor,
    reader: str,
    known: Encoding | None,
    *,
    ids: Collection[str] = (),
    like: Encoding | None = None,
) -> tuple[Tensor, Encoding]:
    """Make features of columns, as the encoding says that is known, or as the train rows do.

    Columns of ``like`` become what they are there, and stand first.
    """
    if known is None:
        features = None if like is None else cast(TableEncoding, like).features
        made = TableEncoding.fit(table, names, train, reader, ids, features)
        return made.make(table), made
    made = replace(cast(TableEncoding, known).alike(), reader=reader)
    return made.make_new(table), made


def read_csv(argument: str, options: Options) -> list[Task]:
    """Read ``csv:train.csv#label``, a table with a header; see ``TableEncoding.fit`` and ``answers``."""
    return read_tasks(argument, options, "csv", partial(encode_columns, ids=options.ids, like=options.like))


def read_parquet(argument: str, options: Options) -> list[Task]:
    """Read ``parquet:train.parquet#label``, in the same way as CSV."""
    return read_tasks(
        argument, options, "parquet", partial(encode_columns, ids=options.ids, like=options.like)
    )


def read_jsonl(argument: str, options: Options) -> list[Task]:
    """Read ``jsonl:train.jsonl#label``, an object in every line, in the same way as Parquet."""
    return read_tasks(argument, options, "jsonl", partial(encode_columns, ids=options.ids, like=options.like))


def read_excel(argument: str, options: Options) -> list[Task]:
    """Read ``excel:train.xlsx#label``, the first sheet, in the same way as CSV."""
    return read_tasks(argument, options, "excel", partial(encode_columns, ids=options.ids, like=options.like))


def _reader(read: Callable[[str, Options], list[Task]], description: str, extra: str = "") -> Reader:
    return Reader(read, description, extra, encoding=TableEncoding, labels=True)


CSV = _reader(read_csv, 'a table with a header: "csv:train.csv#label"')
PARQUET = _reader(read_parquet, 'a table: "parquet:train.parquet#income,married"', "tables")
JSONL = _reader(read_jsonl, 'a table with a JSON object in every line: "jsonl:train.jsonl#label"')
EXCEL = _reader(read_excel, 'the first sheet of a workbook: "excel:train.xlsx#label"', "excel")
