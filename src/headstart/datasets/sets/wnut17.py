"""WNUT 2017: entities in tweets."""

from __future__ import annotations

from ...tasks import Task
from ..options import Options, Reader
from ..splits import build
from ._sentences import PARTS, blocks, columns, tagged, unpacked, whole
from .recipe import GITHUB, each


def read(argument: str, options: Options) -> list[Task]:
    """Read ``wnut17``: the entity tag of each token of tweets, 6 types in BIO.

    References:
        Derczynski et al. (W-NUT 2017), https://aclanthology.org/W17-4418/
    """
    whole("wnut17", argument)
    files = ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")
    parts = {p: columns(unpacked(f"wnut17/{f}.xz", RECIPES), 0, 1) for p, f in zip(PARTS, files, strict=True)}
    kind, x, y, encoding = tagged("wnut17", parts, options)
    return build([("wnut17", kind, y)], x, blocks({p: len(s) for p, s in parts.items()}), encoding)


_CHECKSUMS = {
    "wnut17train.conll": "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",
    "emerging.dev.conll": "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",
    "emerging.test.annotated": "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",
}
RECIPES = each("wnut17/{}.xz", GITHUB + "leondz/emerging_entities_17/master/", _CHECKSUMS)

READER = Reader(read, 'entities in tweets: "wnut17"', texts=True)
