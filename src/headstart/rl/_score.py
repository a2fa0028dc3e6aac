"""Which policy is the best so far, by the episodes that it learned from."""

from __future__ import annotations

from collections.abc import Sequence

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
        points: the returns that count as 0 and as 1, of each run.
    """

    def __init__(self, runs: int, episodes: int, points: Sequence[tuple[float, float]]) -> None:
        self.points = np.array(points)
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
        """Tell whose policy is its best now, and whose has not been better than before it learned anything.

        As long as too few episodes are over to tell, the policy of now is taken. The more the first one is
        worth, the surer it has to be that another is better: by the standard error where it is worth 1.
        """
        known = np.array([len(one) >= RECENT for one in self.recent])
        now = np.array([np.mean(one) if len(one) else -np.inf for one in self.recent])
        count = self.begun.shape[1]
        first = np.where(np.isnan(self.begun).any(1), -np.inf, self.begun.sum(1) / count)
        spread = np.array([np.var(one) / RECENT if len(one) else 0.0 for one in self.recent])
        noise = np.sqrt(spread + np.nan_to_num(self.begun).var(1) / count)
        low, high = self.points.T
        better = now >= first + noise * ((first - low) / (high - low)).clip(0.0, 1.0)
        back = known & ~better & (first > self.best)
        taken = (~known & np.isneginf(self.best)) | (known & better & (now >= self.best))
        self.best = np.where(back, first, np.where(known & taken, now, self.best))
        return taken, back
