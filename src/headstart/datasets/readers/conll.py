"""Files with a word and its tags on each line, and a blank line between sentences.

References:
    CoNLL-U: https://universaldependencies.org/format.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ...errors import unknown, wrong
from ...tasks import Task, Tokens
from ..options import Options, Reader
from ..splits import PARTS, build, divide, warn_duplicates
from .files import existing
from .tagged import number_tags, tagged_encoding
from .text import TextEncoding, sentences

UNIVERSAL = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")


@dataclass(frozen=True)
class Tagged:
    """Hold the sentences of a file.

    Args:
        rows: the fields of each word of each sentence.
        universal: whether it is CoNLL-U, whose columns have names.
        where: the file, for messages.
    """

    rows: Sequence[Sequence[Sequence[str]]]
    universal: bool
    where: str

    @classmethod
    def read(cls, path: Path) -> Tagged:
        """Read a file; ``ValueError`` names the line that has other fields than the first."""
        rows, universal = sentences(existing(path).read_text("utf-8-sig"), f"`{path}`")
        return cls(rows, universal, f"`{path}`")

    def words(self) -> list[list[str]]:
        """Return the words of each sentence."""
        return [[fields[int(self.universal)] for fields in row] for row in self.rows]

    def column(self, name: str) -> int:
        """Find a column: by its number from 1 on, in CoNLL-U also by its name; without one the last."""
        width = len(self.rows[0][0])
        if not name:
            return UNIVERSAL.index("UPOS") if self.universal else width - 1
        if self.universal and name.upper() in UNIVERSAL:
            return UNIVERSAL.index(name.upper())
        if re.fullmatch(r"\d+", name) and 1 <= int(name) <= width:
            return int(name) - 1
        if self.universal:
            raise unknown(f"column of {self.where}", name, UNIVERSAL)
        raise wrong(f"column of {self.where}", expected=f"a number from 1 to {width}", found=f'"{name}"')

    def tags(self, column: int) -> list[list[str | None]]:
        """Return the tags of each sentence; None where CoNLL-U leaves one open."""
        gap = "_" if self.universal else None
        return [[None if fields[column] == gap else fields[column] for fields in row] for row in self.rows]


def read_conll(argument: str, options: Options) -> list[Task]:
    """Read ``conll:FILE#column``: a word and its tags on each line, blank lines between sentences.

    Fields stand between tabs, or spaces where there are none. Words are in the first column, tags in the
    last, or in that of the number after the #, counted from 1; in CoNLL-U words are in FORM, and the columns
    have names. Several columns give several tasks. A folder has a file for each part, whose name says which:
    ``train``, ``dev``, ``test``.
    """
    path, _, asked = argument.partition("#")
    where = options.base / path
    if options.split.group:
        raise wrong("`group`", expected="a column of a table", found="a file of tagged words")
    files = _files(where)
    read = {part: Tagged.read(file) for part, file in files.items()}
    first, words = next(iter(read.values())), [w for tagged in read.values() for w in tagged.words()]
    if len(read) > 1:
        ends = torch.tensor([0, *(len(tagged.rows) for tagged in read.values())]).cumsum(0).tolist()
        division: Mapping[str, Tensor] = {
            part: torch.arange(a, b) for part, a, b in zip(read, ends, ends[1:], strict=False)
        }
    else:
        division = divide(options.split, len(words))
    known = cast(TextEncoding | None, options.encoding)
    made = tagged_encoding(words, division["train"].tolist(), options)
    x, asked_for = made.number(words), []
    for name in asked.split(","):
        column = first.column(name.strip())
        told = UNIVERSAL[column] if first.universal else name.strip() or where.stem
        tags = [row for tagged in read.values() for row in tagged.tags(column)]
        classes = None if known is None else known.classes_of(told)
        kind = _kind(tags, classes, first.where)
        asked_for.append((told, kind, number_tags(kind, tags, made, x, first.where)))
    count = warn_duplicates(x, division, f"`{where}`")
    return build(asked_for, x, division, replace(made, reader="conll", duplicates=count))


def _files(where: Path) -> dict[str, Path]:
    """Find the file of each part in a folder; a file stands for all parts."""
    if not where.is_dir():
        return {"": where}
    found: dict[str, Path] = {}
    for file in sorted(p for p in where.iterdir() if p.is_file() and not p.name.startswith(".")):
        words = [w for w in re.split(r"[^a-z]+", file.stem.lower()) if w in PARTS]
        if words and found.setdefault(PARTS[words[-1]], file) != file:
            both = f"{found[PARTS[words[-1]]].name} and {file.name}"
            raise wrong(f"`{where}`", expected=f"one file for {PARTS[words[-1]]}", found=both)
    if "train" not in found:
        hint = "name them train.conll, dev.conll and test.conll"
        raise wrong(f"`{where}`", expected="a file for each part", found="none for train", hint=hint)
    return {part: found[part] for part in ("train", "valid", "test") if part in found}


def _kind(tags: Sequence[Sequence[str | None]], classes: Sequence[object] | None, where: str) -> Tokens:
    """Name the classes: those that are known, or the tags."""
    names = sorted({tag for row in tags for tag in row if tag is not None})
    if len(names) < 2 and not classes:
        hint = 'name another column, as in "conll:words.conllu#UPOS"'
        raise wrong(f"tags of {where}", expected="at least two different ones", found=names, hint=hint)
    return Tokens(classes or names)  # type: ignore[arg-type]


READER = Reader(
    read_conll,
    'a word and its tags on each line: "conll:words.conll#2"',
    encoding=TextEncoding,
    texts=True,
)
