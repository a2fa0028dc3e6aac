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
from ...tasks.kinds import MISSING
from ..readers.text import fit_tokens, token_ids
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


def encoded(fitted: dict[str, Any]) -> dict[str, Any]:
    """Say how rows of words with spaces between were made."""
    return {"reader": "text", "column": "text", "tokens": "spaces"} | fitted


def classified(name: str, parts: dict[str, tuple[Rows, list[Any]]], classes: Sequence[Any]) -> list[Task]:
    """Make one task of a class per row, with the vocabulary of the train rows."""
    fitted = fit_tokens(parts["train"][0])
    rows = [row for texts, _ in parts.values() for row in texts]
    kind = Multiclass(classes)
    y = kind.encode([label for _, labels in parts.values() for label in labels])
    x = token_ids(rows, fitted["vocabulary"], fitted["length"])
    return build([(name, kind, y)], x, blocks({p: len(t) for p, (t, _) in parts.items()}), encoded(fitted))


def blocks(sizes: dict[str, int]) -> Division:
    """Divide rows that stand part after part."""
    ends = [0]
    for size in sizes.values():
        ends.append(ends[-1] + size)
    return {part: torch.arange(a, b) for part, a, b in zip(sizes, ends, ends[1:], strict=False)}


def tagged(
    name: str, parts: dict[str, list[tuple[list[str], list[str]]]]
) -> tuple[Kind, Tensor, Tensor, dict[str, Any]]:
    """Number tokens and their labels; no sentence is cut."""
    sentences = [s for part in parts.values() for s in part]
    longest = max(len(tokens) for tokens, _ in sentences)
    fitted = fit_tokens([tokens for tokens, _ in parts["train"]]) | {"length": longest}
    kind = Tokens(sorted({label for _, labels in sentences for label in labels}))
    number = {label: k for k, label in enumerate(kind.classes)}
    y = torch.full((len(sentences), longest), MISSING)
    for row, (_, labels) in zip(y, sentences, strict=True):
        row[: len(labels)] = torch.tensor([number[label] for label in labels])
    x = token_ids([tokens for tokens, _ in sentences], fitted["vocabulary"], longest)
    return kind, x, y, encoded(fitted)


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
