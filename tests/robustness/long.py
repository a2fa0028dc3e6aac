"""The long form of it all, which writes what it found.

Within ``tests``: ``python -m robustness.long ../benchmarks/robustness/result.json [PART ...]``.
"""

from __future__ import annotations

import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from headstart.version import __version__

from .damage import cases, tried, tried_model
from .fuzz import FORMATS, Bench, fuzzed
from .ground import COMPARISON, RUN, call, came_to, lay, make
from .kills import at_random, at_write
from .memory import over
from .races import often_together

KINDS, MODEL = (RUN, COMPARISON), "model"
MADE_WITH = {
    "made_with": f"headstart {__version__}, torch {torch.__version__}, Python {platform.python_version()}"
}


def whole(kind: str, root: Path) -> tuple[dict[str, object], float]:
    """Make one of a kind unbroken: what it came to, and the seconds that it took, once the code is loaded."""
    for place in ("first", "whole"):
        began = time.monotonic()
        status, said = make(kind, root / f"{kind}-{place}")
        assert status == 0, said
    return came_to(kind, root / f"{kind}-whole"), time.monotonic() - began


def _same(kind: str, place: Path, expected: object) -> bool:
    return make(kind, place)[0] == 0 and came_to(kind, place) == expected


def kills(root: Path, kind: str) -> dict[str, Any]:
    """Kill one of a kind a hundred times at random."""
    expected, seconds = whole(kind, root)
    rng, met, places, other = random.Random(0), 0, 0, 0
    while met < 100:
        places += 1
        met += at_random(kind, root / f"{places}", 5, seconds, rng)
        other += not _same(kind, root / f"{places}", expected)
    return {"kills": met, "directories": places, "other_results": other}


def writes(root: Path, kind: str) -> dict[str, Any]:
    """Kill one of a kind at every fsync, replace and rename."""
    expected, _ = whole(kind, root)
    number, other = 1, 0
    while at_write(kind, root / f"{number}", number):
        other += not _same(kind, root / f"{number}", expected)
        number += 1
    return {"kills": number - 1, "other_results": other}


def races(root: Path, kind: str) -> dict[str, Any]:
    """Let two processes begin at one moment, fifty times."""
    expected, _ = whole(kind, root)
    found = often_together(kind, root, 50, random.Random(0))
    other = sum(came_to(kind, root / f"{kind}-{i}") != expected for i in range(50))
    return {"exit_statuses": {str(k): n for k, n in found.items()}, "other_results": other}


def damage(root: Path, kind: str) -> dict[str, Any]:
    """Damage every file of a finished run, a comparison or a model in every way."""
    rng = random.Random(0)
    if kind == MODEL:
        whole(RUN, root)
        pristine = root / f"{RUN}-whole" / "model"
        assert call("predict", pristine, "csv:new.csv#label", "-o", "whole.csv")[0] == 0
        answers, every = Path("whole.csv").read_text(), list(cases(pristine, rng))
        wrong = [tried_model(pristine, root / "spoiled", case, answers, rng) for case in every]
    else:
        expected, _ = whole(kind, root)
        pristine = root / f"{kind}-whole"
        every = list(cases(pristine, rng))
        wrong = [tried(kind, pristine, root / "spoiled", case, expected, rng) for case in every]
    return {"damages": len(every), "wrong": [each for each in wrong if each]}


def fuzz(root: Path, name: str) -> dict[str, Any]:
    """Read damaged input files of one format, a sixth of two thousand."""
    return fuzzed(Bench(root), {name: 334})[name]


def memory(root: Path, kind: str) -> dict[str, Any]:
    """Make 300 runs or 30 comparisons in this process."""
    times, first = (300, 50) if kind == RUN else (30, 10)
    before, after = over(kind, root, times, first)
    return {"times": times, "bytes_after": {first: before, times: after}}


PARTS: dict[str, tuple[Callable[[Path, str], dict[str, Any]], str]] = {
    f"{work.__name__} {kind}": (work, kind)
    for work, kinds in (
        (fuzz, FORMATS), (damage, (RUN, MODEL, COMPARISON)), (races, KINDS), (kills, KINDS), (memory, KINDS),
        (writes, KINDS),
    )
    for kind in kinds
}  # fmt: skip


def main(file: Path, parts: list[str]) -> None:
    """Run parts, those that the file lacks by default, and write what was found after each."""
    file = file.resolve()
    found = json.loads(file.read_text()) if file.exists() else {}
    for name in parts or [name for name in PARTS if name not in found]:
        work, kind = PARTS[name]
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            lay(Path(place))
            began = time.monotonic()
            told = work(Path(place), kind)
            found[name] = told | {"seconds": round(time.monotonic() - began)} | MADE_WITH
            file.write_text(json.dumps(found, indent=1) + "\n")
            os.chdir("/")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
