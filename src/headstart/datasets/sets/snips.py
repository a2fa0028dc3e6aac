"""SNIPS: intent and slots of queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...tasks import Multiclass, Task
from ..options import Options, Reader
from ..splits import build
from ._sentences import PARTS, blocks, tagged, unpacked, whole
from .recipe import GITHUB, Content, Recipe, Source, spaced


def read(argument: str, options: Options) -> list[Task]:
    """Read ``snips``: two tasks on one tensor, the intent of a query and the slot of each token.

    References:
        Coucke et al. (2018), https://arxiv.org/abs/1805.10190;
        Goo et al. (NAACL 2018), whose split this is, https://aclanthology.org/N18-2118/
    """
    whole("snips", argument)
    lines = {
        p: [r.split("\t") for r in unpacked(f"snips/snips_{p}.tsv.xz", RECIPES).split("\n") if r]
        for p in PARTS
    }
    parts = {p: [(r[1].split(), r[2].split()) for r in rows] for p, rows in lines.items()}
    kind, x, slots, encoding = tagged("snips", parts, options)
    names = [row[0] for rows in lines.values() for row in rows]
    intents = Multiclass(sorted(set(names)))
    division = blocks({p: len(rows) for p, rows in lines.items()})
    return build(
        [("snips_intent", intents, intents.encode(names)), ("snips_slots", kind, slots)],
        x,
        division,
        encoding,
    )


def make(raw: Sequence[Path]) -> list[Content]:
    """Put intent, tokens and slots of a query on one line; three files for each part."""
    made: list[Content] = []
    for files in zip(raw[0::3], raw[1::3], raw[2::3], strict=True):
        columns = [[spaced(line) for line in path.read_text("utf-8").strip().split("\n")] for path in files]
        made.append("\n".join("\t".join(row) for row in zip(*columns, strict=True)).encode())
    return made


RECIPES = (
    Recipe(
        tuple(f"snips/snips_{part}.tsv.xz" for part in ("train", "valid", "test")),
        tuple(
            Source(f"{GITHUB}MiuLab/SlotGated-SLU/master/data/snips/{part}/{file}")
            for part in ("train", "valid", "test")
            for file in ("label", "seq.in", "seq.out")
        ),
        make,
        content="54f513aaed0f625836ff52224e882b3e61f86df411cc9e595c6d69c002e67e07",
    ),
)

READER = Reader(read, 'intent and slots of queries: "snips#snips_intent"', texts=True)
