"""Text cut by the tokenizer of a pretrained model.

A tokenizer is the text of its ``tokenizer.json``. Number 0 is padding in rows: where the tokenizer pads with
its own 0, numbers are the tokenizer's; else they are larger by one. Where words are told apart, the first
piece of a word has its number, and what goes on with it, or is of no word, the number below 0.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import wrong
from ..options import need

MOST = 256  # tokens of a row


def tokenizer_text(tokens: str | os.PathLike[str]) -> str:
    """Take the text of a tokenizer as it is, or read it from its file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no tokenizer.
    """
    text = str(tokens)
    if not text.lstrip().startswith("{"):
        if not Path(text).is_file():
            raise wrong(
                "`tokens`",
                expected="the text or the path of a `tokenizer.json`",
                found=f"nothing at {text!r:.80}",
                hint='pass hs.models.tokenizer("hf:DIR") for the tokenizer of a backbone',
                error=FileNotFoundError,
            )
        text = Path(text).read_text(encoding="utf-8")
    opened(text, MOST)
    return text


@lru_cache(maxsize=8)
def opened(tokenizer: str, length: int) -> Any:
    """Make a tokenizer that cuts texts to a length, markers of start and end included."""
    need("tokenizers", "words")
    try:
        made = importlib.import_module("tokenizers").Tokenizer.from_str(tokenizer)
    except Exception as error:  # the library has no exception of its own
        expected = "a `tokenizer.json` of the library `tokenizers`"
        raise wrong("`tokens`", expected=expected, found=f"{tokenizer:.60} ({error})") from error
    limit = (made.truncation or {}).get("max_length", length)
    made.no_padding()
    made.enable_truncation(min(limit, length))
    return made


@lru_cache(maxsize=8)
def offset(tokenizer: str) -> int:
    """Say by how much numbers in rows are larger than the tokenizer's own."""
    padding = json.loads(tokenizer).get("padding") or {}
    return 0 if padding.get("pad_id") == 0 else 1


@lru_cache(maxsize=8)
def pieces(tokenizer: str) -> tuple[str, ...]:
    """List what has a number, from number 1 on."""
    known = {number: piece for piece, number in opened(tokenizer, MOST).get_vocab().items()}
    first = 1 - offset(tokenizer)
    return tuple(known.get(number, "") for number in range(first, max(known) + 1))


def special(tokenizer: str) -> list[int]:
    """List the numbers in rows of what stands for no text, such as the marker of an end."""
    added = json.loads(tokenizer).get("added_tokens") or []
    return [token["id"] + offset(tokenizer) for token in added if token.get("special")]


def piece_ids(texts: Sequence[str | None], tokenizer: str, length: int) -> list[list[int]]:
    """Number the pieces of texts; a missing text is an empty one."""
    cut, more = opened(tokenizer, length), offset(tokenizer)
    batch = cut.encode_batch([text or "" for text in texts])
    return [[number + more for number in said.ids] for said in batch]


def word_piece_ids(rows: Sequence[Sequence[str]], tokenizer: str, length: int) -> list[list[int]]:
    """Number the pieces of words: the first of each word above 0, all others below.

    A word of which the tokenizer leaves nothing counts as one that it does not know, so each word has a first
    piece, as long as the row is not cut.
    """
    cut, more, filler = opened(tokenizer, length), offset(tokenizer), _filler(tokenizer)
    found = []
    batch = cut.encode_batch([list(words) for words in rows], is_pretokenized=True)
    for words, said in zip(rows, batch, strict=True):
        seen = {word for word in said.word_ids if word is not None}
        count = max(seen, default=-1) + 1 if said.overflowing else len(words)
        if lost := set(range(count)) - seen:
            words = [filler if i in lost else word for i, word in enumerate(words)]
            said = cut.encode(words, is_pretokenized=True)
        before, numbers = None, []
        for number, word in zip(said.ids, said.word_ids, strict=True):
            starts = word is not None and word != before
            numbers.append(number + more if starts else -number - more)
            before = word if word is not None else before
        found.append(numbers)
    return found


def count_cut(rows: Sequence[str | Sequence[str]], tokenizer: str, length: int) -> int:
    """Count the texts, or rows of words, that have more pieces than such a length."""
    if not rows:
        return 0
    batch = opened(tokenizer, length).encode_batch(list(rows), is_pretokenized=not isinstance(rows[0], str))
    return sum(bool(said.overflowing) for said in batch)


def _filler(tokenizer: str) -> str:
    """Give a word that is always one piece or more."""
    return json.loads(tokenizer)["model"].get("unk_token") or "?"


def padded(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """Put numbers into rows ``(N, L)`` int64 that end in 0."""
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    for row, numbers in zip(ids, rows, strict=True):
        row[: len(numbers)] = torch.tensor(numbers, dtype=torch.long)
    return ids
