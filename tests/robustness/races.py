"""Two processes that begin in one directory at one moment."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

from .ground import make
from .kills import child, ended


def together(kind: str, place: Path, apart: float) -> tuple[int, int]:
    """Let two processes make the same thing, begun so many seconds apart; their exit statuses."""
    go = time.monotonic() + 0.05

    def work(wait: float) -> None:
        while time.monotonic() < go + wait:
            pass
        os._exit(make(kind, place)[0])

    pids = [child(lambda: work(0.0)), child(lambda: work(apart))]
    first, second = sorted(map(ended, pids))
    return first, second


def often_together(kind: str, root: Path, times: int, rng: random.Random) -> Counter[tuple[int, int]]:
    """Let two processes meet again and again, and count how both ended; a directory is new each time."""
    return Counter(
        together(kind, root / f"{kind}-{i}", rng.choice([0, 0.03 * rng.random()])) for i in range(times)
    )
