"""CLINC150: intents of queries."""

from __future__ import annotations

import json

from ...errors import unknown
from ...tasks import Task
from ..options import Options, Reader
from ._sentences import classified, unpacked
from .recipe import GITHUB, each

VARIANTS = ("full", "small", "imbalanced", "oos_plus")


def read(argument: str, options: Options) -> list[Task]:
    """Read ``clinc150``, ``:small``, ``:imbalanced`` or ``:oos_plus``: 150 intents, in-scope queries only.

    References:
        Larson et al. (EMNLP 2019), https://arxiv.org/abs/1909.02027
    """
    variant = argument or "full"
    if variant not in VARIANTS:
        raise unknown("variant of `clinc150`", variant, VARIANTS)
    data = json.loads(unpacked(f"clinc150/data_{variant}.json.xz", RECIPES))
    parts = {
        part: ([text.split() for text, _ in data[key]], [intent for _, intent in data[key]])
        for part, key in (("train", "train"), ("valid", "val"), ("test", "test"))
    }
    return classified("clinc150", parts, sorted(set(parts["train"][1])), options)


_CHECKSUMS = {
    "data_full.json": "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
    "data_small.json": "050e17476e6b4fa88f8518edaf09921c8f5e3a86dc8b63615361102a20b2ac01",
    "data_imbalanced.json": "4886730b20c51eece26aa392ecae2717bfe9908680419e96255351c6148eb4cc",
    "data_oos_plus.json": "bfcca9ae515623541dc1983c94c4ed7cae9d26b42ae47d74b972e51bb6f7a21f",
}
RECIPES = each("clinc150/{}.xz", GITHUB + "clinc/oos-eval/master/data/", _CHECKSUMS)

READER = Reader(read, '150 intents: "clinc150", "clinc150:small"', texts=True)
