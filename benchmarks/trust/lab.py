"""Outcomes per way, seed and test row whose truth is known: the laboratory of the verdicts.

A row is right where a latent number is above 0: the way's level, plus normal parts of the row, of the row
and the way, of the seed, of the seed and the way, of the seed and the row, and of all three. The parts'
shares sum to 1, so that a way's true accuracy is the normal distribution function at its level. The shares
were read off real runs: ``few`` with a few labelled rows that each seed draws anew, ``all`` with all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

SHARES = {"few": (0.25, 0.06, 0.003, 0.006, 0.45), "all": (0.65, 0.17, 0.0008, 0.002, 0.09)}
HELD = {"few": 20, "all": 80}  # rows that choose the baseline, for each seed or each of ``REPEATS`` quarters
REPEATS = 5


def levels(accuracies: Sequence[float]) -> np.ndarray:
    """Give the levels of ways with these true accuracies."""
    return ndtri(np.asarray(accuracies))


class World:
    """Draw outcomes of ways; rows and ways' dispositions stay when more seeds are drawn."""

    def __init__(self, accuracies: Sequence[float], rows: int, kind: str, g: np.random.Generator) -> None:
        self.level, self.g, self.shares = levels(accuracies), g, SHARES[kind]
        self.row, self.both = g.standard_normal(rows), g.standard_normal((len(self.level), rows))

    def seeds(self, count: int) -> np.ndarray:
        """Draw ``(ways, count, rows)`` of 0 and 1."""
        row, both, seed, seed_way, seed_row = np.sqrt(self.shares)
        rest, normal = np.sqrt(1 - sum(self.shares)), self.g.standard_normal
        ways, rows = self.both.shape
        latent = (
            self.level[:, None, None] + row * self.row + both * self.both[:, None]
            + seed * normal((1, count, 1)) + seed_way * normal((ways, count, 1))
            + seed_row * normal((1, count, rows)) + rest * normal((ways, count, rows))
        )  # fmt: skip
        return (latent > 0).astype(np.float64)


def truth(accuracies: Sequence[float]) -> np.ndarray:
    """Give the true accuracies back, from the levels."""
    return ndtr(levels(accuracies))


def held_out(accuracies: Sequence[float], kind: str, seeds: int, g: np.random.Generator) -> np.ndarray:
    """Score ways on the rows that choose the baseline, ``(ways, seeds or repeats)``.

    With few labelled rows each seed holds some of its own apart; all of them are held out by quarters, drawn
    anew for each repeat.
    """
    if kind == "few":
        return np.stack(
            [World(accuracies, HELD[kind], kind, g).seeds(1).mean((1, 2)) for _ in range(seeds)], 1
        )
    rows = 4 * HELD[kind]
    drawn = World(accuracies, rows, kind, g).seeds(REPEATS)
    quarters = [g.permutation(rows)[: HELD[kind]] for _ in range(REPEATS)]
    return np.stack([drawn[:, i, quarter].mean(1) for i, quarter in enumerate(quarters)], 1)
