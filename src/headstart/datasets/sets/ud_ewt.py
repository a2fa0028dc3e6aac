"""UD English EWT: parts of speech."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...errors import unknown
from ...tasks import Task
from ..options import Options, Reader
from ..splits import build
from ._sentences import blocks, columns, tagged, unpacked
from .recipe import GITHUB, Content, Recipe, Source

GENRES = ("answers", "email", "newsgroup", "reviews", "weblog")


def read(argument: str, options: Options) -> list[Task]:
    """Read ``ud_ewt``, or one genre as ``ud_ewt:weblog``: the part of speech of each token.

    The vocabulary is that of all five genres. What is downloaded is release 2.7.

    References:
        Silveira et al. (LREC 2014), https://universaldependencies.org/treebanks/en_ewt/
    """
    if argument and argument not in GENRES:
        raise unknown("genre of `ud_ewt`", argument, GENRES)
    parts, genres = {}, []
    for part, file in (("train", "train"), ("valid", "dev"), ("test", "test")):
        paragraphs = [
            b.split("\n", 1) for b in unpacked(f"ud_ewt/{file}.tsv.xz", RECIPES).strip("\n").split("\n\n")
        ]
        parts[part] = [columns(body, 0, 1)[0] for _, body in paragraphs]
        genres += [head.split("\t")[0].removeprefix("# ") for head, _ in paragraphs]
    kind, x, y, encoding = tagged("ud_ewt", parts, options)
    division: dict[str, Tensor] = dict(blocks({p: len(s) for p, s in parts.items()}))
    if argument:
        division = {
            p: at[torch.tensor([genres[i] == argument for i in at.tolist()])] for p, at in division.items()
        }
    return build([(f"ud_ewt_{argument}" if argument else "ud_ewt", kind, y)], x, division, encoding)


def make(raw: Sequence[Path]) -> list[Content]:
    """Keep genre and name of a sentence, and FORM, UPOS, XPOS, HEAD and DEPREL of its words.

    Ranges (``1-2``) and empty nodes (``8.1``) of CoNLL-U are left out.
    """
    return [
        "\n\n".join(map(_sentence, path.read_text("utf-8").strip("\n").split("\n\n"))).encode()
        for path in raw
    ]


def _sentence(block: str) -> str:
    lines = block.split("\n")
    name = next(line for line in lines if line.startswith("# sent_id = ")).removeprefix("# sent_id = ")
    words = [line.split("\t") for line in lines if not line.startswith("#")]
    kept = ["\t".join(word[k] for k in (1, 3, 4, 6, 7)) for word in words if word[0].isdigit()]
    return "\n".join([f"# {name.split('-')[0]}\t{name}", *kept])


RECIPES = (
    Recipe(
        tuple(f"ud_ewt/{part}.tsv.xz" for part in ("train", "dev", "test")),
        tuple(
            Source(
                f"{GITHUB}UniversalDependencies/UD_English-EWT/r2.7/en_ewt-ud-{part}.conllu",
                f"sha256:{checksum}",
            )
            for part, checksum in (
                ("train", "4e45f7b6f6d4e8d33e0ba7090fc37f2385a91711edb20d456d3fb5f45ac0fc28"),
                ("dev", "57703dcd3b04c32dda6cb7c2a9d836daf65c2b9141a670163693d230b46559c8"),
                ("test", "25ef2d6fe772b8f05be374e093693f14284ccdd870fc27a9295f7e5a0fc3253a"),
            )
        ),
        make,
    ),
)

READER = Reader(read, 'parts of speech, 5 genres: "ud_ewt", "ud_ewt:weblog"', texts=True)
