"""FDU-MTL: sentiment in 16 domains."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...errors import unknown
from ...tasks import Multiclass, Task
from ..options import Options, Reader
from ..readers.text import spaced_encoding
from ..splits import build
from ._sentences import unpacked
from .recipe import Content, Recipe, Source, spaced

SENTIMENT = ("negative", "positive")


def read(argument: str, options: Options) -> list[Task]:
    """Read ``fdu_mtl:books`` or all 16 domains: sentiment, with unlabelled rows.

    The vocabulary is that of the train rows of all 16 domains, so that they can share a backbone.

    References:
        Liu, Qiu & Huang (ACL 2017), https://arxiv.org/abs/1704.05742
    """
    lines = [
        line.split("\t", 3)
        for line in unpacked("fdu_mtl/fdu_mtl_labelled.tsv.xz", RECIPES).split("\n")
        if line
    ]
    domains = sorted({line[0] for line in lines})
    asked = argument.split(",") if argument else domains
    for domain in asked:
        if domain not in domains:
            raise unknown("domain of `fdu_mtl`", domain, domains)
    words = [line[3].split() for line in lines if line[1] == "train"]
    encoding = spaced_encoding(words, options)
    free = [
        line.split("\t", 3)
        for line in unpacked("fdu_mtl/fdu_mtl_unlabelled.tsv.xz", RECIPES).split("\n")
        if line
    ]

    def ids(rows: list[list[str]]) -> Tensor:
        return encoding.of([row[3] for row in rows])

    tasks = []
    for domain in asked:
        rows = [line for line in lines if line[0] == domain]
        parts = [line[1] for line in rows]
        division = {p: torch.tensor([i for i, q in enumerate(parts) if q == p]) for p in ("train", "test")}
        y = torch.tensor([int(line[2]) for line in rows])
        more = ids([line for line in free if line[0] == domain])
        target = (f"fdu_mtl_{domain}", Multiclass(SENTIMENT), y)
        tasks += build([target], ids(rows), division, encoding, unlabelled=more)
    return tasks


def make(raw: Sequence[Path]) -> list[Content]:
    """Put domain, part, label and text of a review on one line; unlabelled ones in another file."""
    texts = {}
    with tarfile.open(raw[0]) as archive:
        for member in archive:
            name = re.fullmatch(r"(\w+)\.task\.(train|test|unlabel)", Path(member.name).name)
            file = archive.extractfile(member)
            if name and file:
                texts[name.groups()] = file.read().decode("utf-8", errors="replace").lstrip("\ufeff")
    lines: dict[bool, list[str]] = {True: [], False: []}
    for domain, part in sorted(texts):
        for line in texts[domain, part].split("\n"):
            label, _, text = line.strip().partition("\t") if part != "unlabel" else ("", "", line)
            if spaced(text):
                lines[part != "unlabel"].append("\t".join((domain, part, label, spaced(text))))
    return ["\n".join(lines[labelled]).encode() for labelled in (True, False)]


RECIPES = (
    Recipe(
        ("fdu_mtl/fdu_mtl_labelled.tsv.xz", "fdu_mtl/fdu_mtl_unlabelled.tsv.xz"),
        (Source("https://github.com/FrankWork/fudan_mtl_reviews/raw/master/data/fudan-mtl-dataset.tar.gz"),),
        make,
        content="557d4eaca500c046d97c6736a54e3a632fa76f904541061d4aff8bbaf6ee5a2c",
    ),
)

READER = Reader(read, 'sentiment, 16 domains: "fdu_mtl:books"', texts=True)
