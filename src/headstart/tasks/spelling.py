"""How a word is written, kept in the number of its first token for learners without a network.

A number of tagged rows says three things: its size which token it is, its sign whether a word begins there
and, where one does, what it is beyond ``TOKENS`` how that word is written: its first three and last four
letters, whatever their case, and its capitals, digits and signs. A tokenizer may drop capitals, and has one
number for all that it does not know; a vocabulary has one for all words that it has not seen. ``Net`` gives a
backbone the numbers of the tokens alone.

Shapes: ``N`` rows, ``L`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from .nouns import V, convert

TOKENS = 2**21  # numbers of tokens are below it
MARK = 2**62  # added where a word is written, so that no other whole number is taken for one
FIRST, LAST = 3, 4  # letters of 5 bits


def spelled(x: Tensor, rows: Sequence[Sequence[str]]) -> Tensor:
    """Write words into the numbers of their first tokens.

    Args:
        x: numbers ``(N, L)`` int64, above 0 where a word begins.
        rows: the words; those that a row was too short for are left out.

    Example:
        >>> x = spelled(torch.tensor([[7, -3, 0]]), [["Rome"]])
        >>> unspelled(x).tolist()
        [[7, -3, 0]]
        >>> [part.tolist() for part in written(x)]  # "rom", "emor" and a capital
        [[[13810, 0, 0]], [[605605, 0, 0]], [[1, 0, 0]]]
    """
    x = x.clone()
    for row, words in zip(x, rows, strict=True):
        at = (row > 0).nonzero().flatten()[: len(words)]
        row[at] += torch.tensor([_code(word) for word in words[: len(at)]], dtype=torch.long)
    return x


def unspelled(x: V) -> V:
    """Give rows the numbers of tokens alone, with their signs; rows of all other kinds stay as they are."""
    return convert(x, _tokens)


def written(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Say how words are written where they begin: first letters, last letters, and marks; else 0.

    The remainder by ``32**k`` of first letters are the first ``k``, that of last letters the last ``k``.
    """
    code = torch.where(x >= MARK, x - MARK, 0) // TOKENS
    ends = code // 32**FIRST
    return code % 32**FIRST, ends % 32**LAST, ends // 32**LAST


def _tokens(x: Tensor) -> Tensor:
    if x.dtype != torch.long or x.ndim != 2:
        return x
    return torch.where(x >= MARK, x % TOKENS, x)


@lru_cache(maxsize=2**16)
def _code(word: str) -> int:
    letters = [ord(letter) % 32 for letter in word.lower()]
    first, last = _number(letters[:FIRST]), _number(letters[: -LAST - 1 : -1])
    marks = (
        word[:1].isupper(),
        word[1:] != word[1:].lower(),
        any(map(str.isdigit, word)),
        "-" in word,
        not any(map(str.isalnum, word)),
    )
    many = sum(2**k for k, there in enumerate(marks) if there)
    return MARK + TOKENS * (first + 32**FIRST * (last + 32**LAST * many))


def _number(letters: Sequence[int]) -> int:
    return sum(letter * 32**k for k, letter in enumerate(letters))
