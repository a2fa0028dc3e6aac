"""Words by their spelling, for learners without a network: each by itself, or beside its neighbours.

A word is one token, or the pieces that a tokenizer makes of it: a number above 0, and behind it those below 0
that go on with it.

Shapes: ``B`` rows, ``L`` tokens, ``W`` words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..net import Backbone

_FACTOR = 6364136223846793005  # odd; products wrap around


@dataclass(frozen=True, eq=False)
class Spelling:
    """Hold what words are made of, 0 where a row has no more words.

    Args:
        whole: a number for each word, that of its one token or one made of all pieces, ``(B, W)``.
        last: the number of its last piece, ``(B, W)``.
        count: how many pieces it has, ``(B, W)``.
        at: the word that each token belongs to, ``(B, L)``.
        starts: where words begin, ``(B, L)``.
    """

    whole: Tensor
    last: Tensor
    count: Tensor
    at: Tensor
    starts: Tensor

    @classmethod
    def of(cls, x: Tensor, special: Tensor) -> Spelling:
        """Put the pieces of each word together.

        Args:
            x: rows ``(B, L)``.
            special: the numbers of tokens that are part of no word.
        """
        x = x.long()
        starts, pieces = x > 0, x.abs()
        at = starts.long().cumsum(1) - 1
        part = (x != 0) & (at >= 0) & ~torch.isin(pieces, special)
        at = at.clamp(min=0)
        place = torch.arange(x.shape[1], device=x.device).expand_as(x)
        offset = place - torch.where(starts, place, 0).cummax(1).values
        power = _powers(x)
        words = max(1, int(starts.sum(1).max())) if len(x) else 1
        empty = torch.zeros(len(x), words, dtype=torch.long, device=x.device)
        whole = empty.scatter_add(1, at, pieces * power[offset] * part)
        count = empty.scatter_add(1, at, part.long())
        last = empty.scatter_add(1, at, pieces * (part & (offset + 1 == count.gather(1, at))))
        return cls(whole, last, count, at, starts)

    def back(self, values: Tensor) -> Tensor:
        """Put numbers of words ``(B, W, D)`` where the words begin, ``(B, L, D)``; 0 elsewhere."""
        found = values.gather(1, self.at[..., None].expand(-1, -1, values.shape[2]))
        return found * self.starts[..., None]


def _powers(x: Tensor) -> Tensor:
    """Give the powers of the factor, from 1 on, one for each place of a row."""
    factors = torch.full((x.shape[1],), _FACTOR, device=x.device)
    factors[0] = 1
    return factors.cumprod(0)


class _Spelled(Backbone):
    special: Tensor

    def __init__(self, special: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("special", torch.tensor(list(special), dtype=torch.long), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the numbers of all tokens in one row."""
        return self.places(x).flatten(1).float()

    def places(self, x: Tensor) -> Tensor:
        """Return numbers where words begin, ``(B, L, D)`` int64."""
        raise NotImplementedError


@final
class Spelled(_Spelled):
    """Give each word its place in a list of words, ``(B, L, 1)`` int64; 0 for one that is not in it.

    Args:
        words: how many are in the list.
        special: the numbers of tokens that are part of no word.

    Attributes:
        known: the words, as ``Spelling`` puts them, in rising order, ``(words,)``.

    Example:
        >>> backbone = Spelled(2)
        >>> _ = backbone.known.copy_(torch.tensor([3, 7]))
        >>> backbone.places(torch.tensor([[7, 3, 9, 0]])).flatten().tolist()
        [2, 1, 0, 0]
    """

    use = "spelled"
    width = 1
    known: Tensor

    def __init__(self, words: int, special: Sequence[int] = ()) -> None:
        super().__init__(special)
        self.settings = {"words": words, "special": list(special)}
        self.register_buffer("known", torch.zeros(words, dtype=torch.long))

    def places(self, x: Tensor) -> Tensor:
        """Return the places, counted from 1."""
        spelling = Spelling.of(x, self.special)
        at = torch.searchsorted(self.known, spelling.whole).clamp(max=len(self.known) - 1)
        number = torch.where((self.known[at] == spelling.whole) & (spelling.count > 0), at + 1, 0)
        return spelling.back(number[..., None])


@final
class Windows(_Spelled):
    """Say for each word what it is and what stands beside it, as numbers of slots, ``(B, L, 8)`` int64.

    The word, its first and its last piece, those of the word before and of the one behind: each with what it
    is makes a number, and the remainder of a product of it is a slot, as in feature hashing.

    Args:
        slots: how many there are.
        special: the numbers of tokens that are part of no word.

    Example:
        >>> found = Windows(1000).places(torch.tensor([[7, 3, 0]]))
        >>> found.shape, bool((found < 1000).all())
        (torch.Size([1, 3, 8]), True)

    References:
        Weinberger et al. (ICML 2009), https://arxiv.org/abs/0902.2206, without their signs
    """

    use = "windows"
    width = 8

    def __init__(self, slots: int, special: Sequence[int] = ()) -> None:
        super().__init__(special)
        self.settings = {"slots": slots, "special": list(special)}
        self.slots = slots

    def places(self, x: Tensor) -> Tensor:
        """Return the slots."""
        s = Spelling.of(x, self.special)
        first = torch.zeros_like(s.whole).scatter_add(1, s.at, x.long() * s.starts)
        said = [s.whole, first, s.last, s.count]
        said += [_moved(each, by) for each in (s.whole, s.last) for by in (1, -1)]
        mixed = [(each * 31 + k + 1) * _FACTOR for k, each in enumerate(said)]
        return s.back(torch.stack([((m >> 24) ^ m) % self.slots for m in mixed], -1))


def _moved(values: Tensor, by: int) -> Tensor:
    """Give each word what its neighbour has, 0 at the ends."""
    moved = torch.zeros_like(values)
    if by > 0:
        moved[:, by:] = values[:, :-by]
    else:
        moved[:, :by] = values[:, -by:]
    return moved


SPELLED: dict[str, type[Backbone]] = {kind.use: kind for kind in (Spelled, Windows)}
