"""Words by their spelling, for learners without a network: each by itself, or beside its neighbours.

A word is one token, or the pieces that a tokenizer makes of it: a number above 0, and behind it those below 0
that go on with it. How it is written may stand in the first of them (``tasks/spelling.py``).

Shapes: ``B`` rows, ``L`` tokens, ``W`` words, ``F`` facts of a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...tasks.spelling import unspelled, written
from ..net import Backbone

_FACTOR = 6364136223846793005  # odd; products wrap around


@dataclass(frozen=True, eq=False)
class Spelling:
    """Hold what words are made of, 0 where a row has no more words.

    Args:
        whole: a number for each word, that of its one token or one made of all pieces, ``(B, W)``.
        first: its first letters, ``(B, W)``.
        last: its last letters, ``(B, W)``.
        marks: its capitals, digits and signs, ``(B, W)``.
        at: the word that each token belongs to, ``(B, L)``.
        starts: where words begin, ``(B, L)``.
    """

    whole: Tensor
    first: Tensor
    last: Tensor
    marks: Tensor
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
        starts, pieces = x > 0, unspelled(x).abs()
        at = starts.long().cumsum(1) - 1
        part = (x != 0) & (at >= 0) & ~torch.isin(pieces, special)
        at = at.clamp(min=0)
        place = torch.arange(x.shape[1], device=x.device).expand_as(x)
        offset = place - torch.where(starts, place, 0).cummax(1).values
        words = max(1, int(starts.sum(1).max())) if len(x) else 1
        empty = torch.zeros(len(x), words, dtype=torch.long, device=x.device)
        whole = empty.scatter_add(1, at, pieces * _powers(x)[offset] * part)
        how = [empty.scatter_add(1, at, each) for each in written(x)]
        return cls(whole, how[0], how[1], how[2], at, starts)

    def back(self, values: Tensor) -> Tensor:
        """Put numbers of words ``(B, W, F)`` where the words begin, ``(B, L, F)``; 0 elsewhere."""
        found = values.gather(1, self.at[..., None].expand(-1, -1, values.shape[2]))
        return found * self.starts[..., None]


def _powers(x: Tensor) -> Tensor:
    """Give the powers of the factor, from 1 on, one for each place of a row."""
    factors = torch.full((x.shape[1],), _FACTOR, device=x.device)
    factors[0] = 1
    return factors.cumprod(0)


class _Spelled(Backbone):
    """Give each fact of a word its place in a list of those that were seen; 0 for one that is not in it.

    Args:
        known: how many are in the list.
        special: the numbers of tokens that are part of no word.

    Attributes:
        known: the facts, as ``facts`` gives them, in rising order, ``(known,)``.
    """

    reads_spelling = True
    known: Tensor
    special: Tensor

    def __init__(self, known: int, special: Sequence[int] = ()) -> None:
        super().__init__()
        self.settings = {"known": known, "special": list(special)}
        self.register_buffer("known", torch.zeros(known, dtype=torch.long))
        self.register_buffer("special", torch.tensor(list(special), dtype=torch.long), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the places of all tokens' facts in one row."""
        return self.places(x).flatten(1).float()

    def places(self, x: Tensor) -> Tensor:
        """Return places where words begin, counted from 1, ``(B, L, F)`` int64."""
        facts = self.facts(x)
        at = torch.searchsorted(self.known, facts).clamp(max=len(self.known) - 1)
        return torch.where((self.known[at] == facts) & (facts != 0), at + 1, 0)

    def facts(self, x: Tensor) -> Tensor:
        """Return a number for each fact where words begin, ``(B, L, F)`` int64; 0 for none."""
        raise NotImplementedError


@final
class Spelled(_Spelled):
    """Say of each word which one it is, ``(B, L, 1)`` int64; see ``_Spelled``.

    Args:
        words: how many are in the list.
        special: the numbers of tokens that are part of no word.

    Example:
        >>> backbone = Spelled(2)
        >>> _ = backbone.known.copy_(torch.tensor([3, 7]))
        >>> backbone.places(torch.tensor([[7, 3, 9, 0]])).flatten().tolist()
        [2, 1, 0, 0]
    """

    use = "spelled"
    width = 1

    def __init__(self, words: int, special: Sequence[int] = ()) -> None:
        super().__init__(words, special)
        self.settings = {"words": words, "special": list(special)}

    def facts(self, x: Tensor) -> Tensor:
        """Return the numbers of words."""
        spelling = Spelling.of(x, self.special)
        return spelling.back(spelling.whole[..., None])


@final
class Written(_Spelled):
    """Say of each word how it is written and what stands beside it, ``(B, L, 19)`` int64; see ``_Spelled``.

    The word; its first one to three and last one to four letters, and both ends at once; its marks, and these
    with whether a sentence begins; the two words before and behind; of the nearest of these the last three
    letters and the marks.

    Example:
        >>> backbone = Written(1)
        >>> _ = backbone.known.copy_(backbone.facts(torch.tensor([[7, 3]]))[0, 0, :1])  # the word 7
        >>> backbone.places(torch.tensor([[3, 7]]))[0, :, 0].tolist()
        [0, 1]
    """

    use = "written"
    width = 19

    def facts(self, x: Tensor) -> Tensor:
        """Return the facts, each with which it is."""
        s = Spelling.of(x, self.special)
        begins = torch.arange(s.whole.shape[1], device=x.device) == 0
        three = s.last % 32**3
        said = [s.whole, s.first + 32**3 * s.last, s.marks, 2 * s.marks + begins]
        said += [s.first % 32**k for k in (1, 2, 3)] + [s.last % 32**k for k in (1, 2, 3, 4)]
        said += [_moved(s.whole, by) for by in (-2, -1, 1, 2)]
        said += [_moved(each, by) for each in (three, s.marks) for by in (-1, 1)]
        return s.back(torch.stack([each * 32 + k + 1 for k, each in enumerate(said)], -1))


def _moved(values: Tensor, by: int) -> Tensor:
    """Give each word what its neighbour has, 0 at the ends."""
    moved = torch.zeros_like(values)
    if by > 0:
        moved[:, by:] = values[:, :-by]
    else:
        moved[:, :by] = values[:, -by:]
    return moved


SPELLED: dict[str, type[Backbone]] = {kind.use: kind for kind in (Spelled, Written)}
