"""What a process that works again and again holds in memory."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

from .ground import make


def resident() -> int:
    """Count the bytes that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def over(kind: str, root: Path, times: int, first: int) -> tuple[int, int]:
    """Make one of a kind so many times: the bytes that are held after the ``first``, and at the end."""
    held = []
    for number in range(1, times + 1):
        status, said = make(kind, root / "again")
        assert status == 0, said
        shutil.rmtree(root / "again")
        if number in (first, times):
            held.append(resident())
    return held[0], held[-1]
