"""Random generators from keys, so that nothing random has to be handed from place to place."""

from __future__ import annotations

import hashlib

import torch

_MASK = 2**64 - 1


def generator(*key: int | str) -> torch.Generator:
    """Make a generator from a key of several parts; distinct keys give unrelated numbers.

    Whole numbers are mixed in one after another as in SplitMix64, words by the first 64 bits of their
    SHA-256. Equal keys give equal numbers on every machine.

    Args:
        key: what the numbers are for, as a seed, a purpose and a step.

    Example:
        >>> once, again = (torch.rand(3, generator=generator(7, "source phase")) for _ in range(2))
        >>> torch.equal(once, again)
        True

    References:
        Steele, Lea & Flood (OOPSLA 2014), https://doi.org/10.1145/2660193.2660195
    """
    state = 0
    for part in key:
        state = (state + _number(part) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return torch.Generator().manual_seed(state >> 1)


def _number(part: int | str) -> int:
    if isinstance(part, str):
        return int.from_bytes(hashlib.sha256(part.encode()).digest()[:8], "big")
    return part
