"""Rows of words that have a label each, whether numbers stand for words or for their pieces.

Shapes: ``N`` rows, ``L`` tokens, ``W`` words.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from torch import Tensor

from ...tasks import Tokens
from ...tasks.kinds import MISSING
from ..options import Options
from .text import AS_WRITTEN, PieceEncoding, TextEncoding


def tagged_encoding(rows: Sequence[Sequence[str]], train: Sequence[int], options: Options) -> TextEncoding:
    """Say how rows of words become numbers.

    No row is cut, unless a tokenizer says so.

    Args:
        rows: all of them.
        train: which of them the vocabulary is learned from.
        options: which may hold an encoding that is known, or a tokenizer.
    """
    known = cast(TextEncoding | None, options.encoding)
    if known is not None and known.reads("text"):
        return known.alike()
    if options.tokens:
        return PieceEncoding.of_words(rows, options.tokens)
    made = TextEncoding.fit([rows[i] for i in train], tokens=AS_WRITTEN)
    return replace(made, length=max(map(len, rows)))


def number_tags(
    kind: Tokens, tags: Sequence[Sequence[str | None]], encoding: TextEncoding, x: Tensor, where: str
) -> Tensor:
    """Number the tags of words, ``(N, L)``, each where its word begins; -100 elsewhere, and where it is None.

    A warning counts the rows whose last words were cut off, and their tags with them.
    """
    y = kind.encode([[t for t in row if t is not None] for row in tags])
    y = _with_gaps(y, tags)
    lined = encoding.line_up(x, y)
    if cut := int(((y != MISSING).sum(1) > (lined != MISSING).sum(1)).sum()):
        message = f"{cut} of {len(x)} sentences of {where} are longer than {encoding.length} tokens"
        warnings.warn(f"{message}; the words behind are left out", stacklevel=2)
    return lined


def _with_gaps(y: Tensor, tags: Sequence[Sequence[str | None]]) -> Tensor:
    """Move numbers ``(N, k)`` of the tags that are there to their words, ``(N, W)``."""
    spread = y.new_full((len(tags), max(map(len, tags), default=0)), MISSING)
    for row, numbers, some in zip(spread, y, tags, strict=True):
        at = [i for i, tag in enumerate(some) if tag is not None]
        row[at] = numbers[: len(at)]
    return spread
