"""Adult: the census of 1994."""

from __future__ import annotations

import lzma
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from ...errors import wrong
from ...tasks import Binary, Task
from ..options import Options, Reader
from ..readers.files import Table, parse_csv
from ..readers.tables import TableEncoding
from ..splits import build
from .home import locate
from .recipe import Content, Recipe, Source

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
    "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country",
    "income",
)  # fmt: skip


def _census(part: str) -> Table:
    text = lzma.decompress(locate(f"adult/adult.{part}.csv.xz", RECIPES).read_bytes()).decode()
    return parse_csv(text, f"`adult` ({part})", COLUMNS)


def read(argument: str, options: Options) -> list[Task]:
    """Read ``adult``: two yes-or-no tasks on one tensor, income over 50K and never married.

    Rows are those of a CSV (numbers standardised by the 32,561 train rows, categories one-hot),
    without the two columns that the tasks ask for.

    References:
        Becker & Kohavi (UCI 1996), https://doi.org/10.24432/C5XW20
    """
    if argument:
        raise wrong("reference to `adult`", expected='"adult" alone', found=f'"adult:{argument}"')
    train, test = _census("train"), _census("test")
    names = [n for n in COLUMNS if n not in ("income", "marital-status")]
    table = Table({n: [*train.columns[n], *test.columns[n]] for n in COLUMNS}, "`adult`")
    division = {"train": torch.arange(len(train)), "test": torch.arange(len(train), len(table))}
    encoding = TableEncoding.fit(table, names, division["train"], "csv")
    yes = {"income": ("income", ">50K"), "never-married": ("marital-status", "Never-married")}
    targets = [
        (name, Binary(("no", "yes")), torch.tensor([float(v == value) for v in table.columns[column]]))
        for name, (column, value) in yes.items()
    ]
    return build(targets, encoding.make(table), division, encoding)


def make(raw: Sequence[Path]) -> list[Content]:
    """Keep the lines of 15 columns, without the blanks after commas and the dots at the end of test lines."""
    return [
        "\n".join(
            re.sub(r",\s+", ",", line.rstrip("."))
            for line in path.read_text().split("\n")
            if line.count(",") == 14
        ).encode()
        for path in raw
    ]


_HOME = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
RECIPES = (
    Recipe(
        ("adult/adult.train.csv.xz", "adult/adult.test.csv.xz"),
        (
            Source(
                _HOME + "adult.data",
                "sha256:5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            ),
            Source(
                _HOME + "adult.test",
                "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
            ),
        ),
        make,
    ),
)

READER = Reader(read, 'census, income and never married: "adult", "adult#income"')
