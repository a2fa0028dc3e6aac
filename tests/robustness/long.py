"""The long form of it all, which writes what it found: ``python -m robustness.long FILE [PART ...]``.

To be run within ``tests``.
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

KINDS = (RUN, COMPARISON)


def whole(kind: str, root: Path) -> tuple[dict[str, object], float]:
    """Make one of a kind unbroken: what it came to, and the seconds that it took, once the code is loaded."""
    for place in ("first", "whole"):
        began = time.monotonic()
        status, said = make(kind, root / f"{kind}-{place}")
        assert status == 0, said
    return came_to(kind, root / f"{kind}-whole"), time.monotonic() - began


def _same(kind: str, place: Path, expected: object) -> bool:
    return make(kind, place)[0] == 0 and came_to(kind, place) == expected


def kills(root: Path) -> dict[str, Any]:
    """Kill each kind a hundred times at random."""
    told = {}
    for kind in KINDS:
        expected, seconds = whole(kind, root)
        rng, met, places, other = random.Random(0), 0, 0, 0
        while met < 100:
            places += 1
            met += at_random(kind, root / f"{kind}-{places}", 5, seconds, rng)
            other += not _same(kind, root / f"{kind}-{places}", expected)
        told[kind] = {"kills": met, "directories": places, "other_results": other}
    return told


def writes(root: Path) -> dict[str, Any]:
    """Kill each kind at every fsync, replace and rename."""
    told = {}
    for kind in KINDS:
        expected, _ = whole(kind, root)
        number, other = 1, 0
        while at_write(kind, root / f"{kind}-{number}", number):
            other += not _same(kind, root / f"{kind}-{number}", expected)
            number += 1
        told[kind] = {"kills": number - 1, "other_results": other}
    return told


def races(root: Path) -> dict[str, Any]:
    """Let two processes begin at one moment, fifty times for each kind."""
    told = {}
    for kind in KINDS:
        expected, _ = whole(kind, root)
        found = often_together(kind, root, 50, random.Random(0))
        other = sum(came_to(kind, root / f"{kind}-{i}") != expected for i in range(50))
        told[kind] = {"exit_statuses": {str(k): n for k, n in found.items()}, "other_results": other}
    return told


def damage(root: Path) -> dict[str, Any]:
    """Damage every file of a finished run, a comparison and a model in every way."""
    told = {}
    for kind in KINDS:
        expected, _ = whole(kind, root)
        rng, pristine = random.Random(0), root / f"{kind}-whole"
        every = list(cases(pristine, rng))
        wrong = [tried(kind, pristine, root / "spoiled" / kind, case, expected, rng) for case in every]
        told[kind] = {"damages": len(every), "wrong": [each for each in wrong if each]}
    rng, model = random.Random(0), root / f"{RUN}-whole" / "model"
    assert call("predict", model, "csv:new.csv#label", "-o", "whole.csv")[0] == 0
    answers, every = Path("whole.csv").read_text(), list(cases(model, rng))
    wrong = [tried_model(model, root / "spoiled" / "model", case, answers, rng) for case in every]
    return told | {"model": {"damages": len(every), "wrong": [each for each in wrong if each]}}


def fuzz(root: Path) -> dict[str, Any]:
    """Read two thousand damaged input files."""
    return fuzzed(Bench(root), dict.fromkeys(FORMATS, 334))


def memory(root: Path) -> dict[str, Any]:
    """Make 300 runs and 30 comparisons in this process."""
    told = {}
    for kind, times, first in ((RUN, 300, 50), (COMPARISON, 30, 10)):
        before, after = over(kind, root, times, first)
        told[kind] = {"times": times, f"bytes_after_{first}": before, "bytes_at_the_end": after}
    return told


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "memory": memory, "kills": kills, "races": races, "fuzz": fuzz, "writes": writes, "damage": damage,
}  # fmt: skip


def main(file: Path, parts: list[str]) -> None:
    """Run parts, each in a directory of its own, and write what was found after each."""
    file = file.resolve()
    found = json.loads(file.read_text()) if file.exists() else {}
    for name in parts or PARTS:
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            lay(Path(place))
            (Path(place) / "spoiled").mkdir()
            began = time.monotonic()
            told = PARTS[name](Path(place))
            found[name] = told | {"seconds": round(time.monotonic() - began)}
            found["made_with"] = {
                "headstart": __version__, "torch": torch.__version__, "python": platform.python_version(),
            }  # fmt: skip
            file.write_text(json.dumps(found, indent=1) + "\n")
            os.chdir("/")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
