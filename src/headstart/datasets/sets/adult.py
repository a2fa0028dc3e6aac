"""Adult: the census of 1994."""

from __future__ import annotations

import lzma
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ...errors import wrong
from ...maths.random import generator
from ...tasks import Binary, Task
from ..options import Options, Reader
from ..readers.files import Table, parse_csv
from ..readers.tables import TableEncoding
from ..splits import Division, build
from .home import locate
from .recipe import Content, Recipe, Source

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
    "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country",
    "income",
)  # fmt: skip

INPUTS = tuple(name for name in COLUMNS if name not in ("income", "marital-status"))
SITES = {  # columns of two sites: every other one at both, the rest at either alone
    "here": (*INPUTS[::2], *INPUTS[1::4]),
    "there": (*INPUTS[::2], *INPUTS[3::4]),
}
THERE, LABELLED, BARE, TESTED = 4000, 2000, 2000, 4000  # rows


def _census(part: str) -> Table:
    text = lzma.decompress(locate(f"adult/adult.{part}.csv.xz", RECIPES).read_bytes()).decode()
    return parse_csv(text, f"`adult` ({part})", COLUMNS)


def read(argument: str, options: Options) -> list[Task]:
    """Read ``adult``: two yes-or-no tasks on one tensor, income over 50K and never married.

    Rows are those of a CSV (numbers standardised by the 32,561 train rows, categories one-hot),
    without the two columns that the tasks ask for.

    ``adult:here`` and ``adult:there`` pose it as two sites with other columns and other rows: seven are at
    both, three at either alone. ``here`` has 2000 labelled rows, 2000 without labels and 4000 test rows,
    ``there`` 4000 labelled rows; all are drawn at random, the same every time.

    References:
        Becker & Kohavi (UCI 1996), https://doi.org/10.24432/C5XW20
    """
    if argument and argument not in SITES:
        expected = '"adult" alone, "adult:here" or "adult:there"'
        raise wrong("reference to `adult`", expected=expected, found=f'"adult:{argument}"')
    train, test = _census("train"), _census("test")
    table = Table({n: [*train.columns[n], *test.columns[n]] for n in COLUMNS}, "`adult`")
    division = {"train": torch.arange(len(train)), "test": torch.arange(len(train), len(table))}
    encoding = TableEncoding.fit(table, INPUTS, division["train"], "csv")
    yes = {"income": ("income", ">50K"), "never-married": ("marital-status", "Never-married")}
    targets = [
        (name, Binary(("no", "yes")), torch.tensor([float(v == value) for v in table.columns[column]]))
        for name, (column, value) in yes.items()
    ]
    if not argument:
        return build(targets, encoding.make(table), division, encoding)
    encoding = replace(encoding, features={name: encoding.features[name] for name in SITES[argument]})
    x, (parts, bare) = encoding.make(table), _rows(argument, division)
    return build(targets, x, parts, encoding, unlabelled=x[bare] if len(bare) else None)


def _rows(site: str, division: Division) -> tuple[Division, torch.Tensor]:
    """Draw the rows of a site: those of each part, and those without labels."""
    train, test = (
        part[torch.randperm(len(part), generator=generator(f"adult {word}"))]
        for part, word in ((division["train"], "sites"), (division["test"], "test"))
    )
    if site == "there":
        return {"train": train[:THERE]}, train[:0]
    labelled, bare = train[THERE : THERE + LABELLED + BARE].split([LABELLED, BARE])
    return {"train": labelled, "test": test[:TESTED]}, bare


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

READER = Reader(
    read,
    'census, income and never married: "adult", "adult#income"; as two sites: "adult:here", ":there"',
)
