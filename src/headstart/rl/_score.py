"""Which policy is the best so far, by the episodes that it learned from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .physics import Numbers

RECENT = 16  # episodes whose mean says how good a policy is while it learns
Flags = NDArray[np.bool_]


class Score:
    """Count the returns of episodes.

    Args:
        runs: how many.
        episodes: of each side by side.
    """

    def __init__(self, runs: int, episodes: int) -> None:
        self.sums = np.zeros((runs, episodes))
        self.begun = np.full((runs, episodes), np.nan)  # of the first episodes, before much was learned
        self.recent: list[list[float]] = [[] for _ in range(runs)]
        self.best = np.full(runs, -np.inf)

    def add(self, reward: Numbers, over: Flags) -> None:
        """Add a step's rewards, ``(runs, episodes)``, and which episodes are over with it."""
        self.sums += reward
        for r, e in zip(*np.nonzero(over), strict=True):
            if np.isnan(self.begun[r, e]):
                self.begun[r, e] = self.sums[r, e]
            self.recent[r] = [*self.recent[r][-RECENT + 1 :], float(self.sums[r, e])]
        self.sums[over] = 0.0

    def better(self) -> tuple[Flags, Flags]:
        """Tell whose policy is its best now, and whose was better before it learned anything.

        As long as too few episodes are over to tell, the policy of now is taken.
        """
        known = np.array([len(one) >= RECENT for one in self.recent])
        now = np.array([np.mean(one) if len(one) else -np.inf for one in self.recent])
        first = np.where(np.isnan(self.begun).any(1), -np.inf, self.begun.sum(1) / self.begun.shape[1])
        back = known & (first > np.maximum(now, self.best))
        taken = (~known & np.isneginf(self.best)) | (known & (now >= self.best) & ~back)
        self.best = np.where(back, first, np.where(known & taken, now, self.best))
        return taken, back
