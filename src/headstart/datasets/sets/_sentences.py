"""What the sets of text share; tokens are numbered as by ``text:``.

Shapes: ``N`` rows, ``L`` tokens.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import wrong
from ...tasks import Kind, Multiclass, Task, Tokens
from ..options import Options
from ..readers.tagged import number_tags, tagged_encoding
from ..readers.text import TextEncoding, spaced_encoding
from ..splits import Division, build
from .home import locate
from .recipe import Recipe

Rows = list[list[str]]


PARTS = ("train", "valid", "test")


def unpacked(file: str, recipes: Sequence[Recipe]) -> str:
    """Read a compressed file of text; ``recipes`` say where it comes from."""
    data = lzma.decompress(locate(file, recipes).read_bytes())
    try:
        return data.decode()
    except UnicodeDecodeError:  # a few lines of the older sets are Latin-1
        lines = data.split(b"\n")
        return "\n".join(_line(line) for line in lines)


def _line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def classified(
    name: str, parts: dict[str, tuple[Rows, list[Any]]], classes: Sequence[Any], options: Options
) -> list[Task]:
    """Make one task of a class per row, with the vocabulary of the train rows, or by a tokenizer."""
    encoding = spaced_encoding(parts["train"][0], options)
    rows = [row for texts, _ in parts.values() for row in texts]
    kind = Multiclass(classes)
    y = kind.encode([label for _, labels in parts.values() for label in labels])
    sizes = {part: len(texts) for part, (texts, _) in parts.items()}
    return build([(name, kind, y)], encoding.of([" ".join(row) for row in rows]), blocks(sizes), encoding)


def blocks(sizes: dict[str, int]) -> Division:
    """Divide rows that stand part after part."""
    ends = [0]
    for size in sizes.values():
        ends.append(ends[-1] + size)
    return {part: torch.arange(a, b) for part, a, b in zip(sizes, ends, ends[1:], strict=False)}


def tagged(
    name: str, parts: dict[str, list[tuple[list[str], list[str]]]], options: Options
) -> tuple[Kind, Tensor, Tensor, TextEncoding]:
    """Number words, or their pieces, and their labels; no sentence is cut but by a tokenizer."""
    words, labels = zip(*(sentence for part in parts.values() for sentence in part), strict=True)
    encoding = tagged_encoding(words, range(len(parts["train"])), options)
    kind = Tokens(sorted({label for row in labels for label in row}))
    x = encoding.number(words)
    return kind, x, number_tags(kind, labels, encoding, x, f"`{name}`"), encoding


def whole(name: str, argument: str) -> None:
    """Raise ``ValueError`` where a part is asked for of a set that has none."""
    if argument:
        raise wrong(f"reference to `{name}`", expected=f'"{name}" alone', found=f'"{name}:{argument}"')


def columns(text: str, token: int, label: int) -> list[tuple[list[str], list[str]]]:
    """Read sentences of one token a line, between blank lines."""
    sentences: list[tuple[list[str], list[str]]] = [([], [])]
    for line in text.split("\n"):
        if not line.strip():
            sentences.append(([], []))
        else:
            fields = line.split("\t")
            sentences[-1][0].append(fields[token])
            sentences[-1][1].append(fields[label].strip())
    return [s for s in sentences if s[0]]
