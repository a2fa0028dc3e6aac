"""What each trial said of the test rows, in files that NumPy alone reads.

``outputs/truth-TARGET.npz`` holds what is right, ``outputs/STRATEGY-AMOUNT-SEED.npz`` the answers by target.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ..atomic import write_atomic
from ..maths.twoway import Numbers
from .plan import Cell, Plan
from .question import Outcome


def file(plan: Plan, cell: Cell) -> Path:
    """Name the file of a trial's answers."""
    return plan.directory / "outputs" / plan.file("trials", cell).with_suffix(".npz").name


def write(plan: Plan, cell: Cell, found: Mapping[str, Outcome]) -> None:
    """Keep the answers of a trial, and once what is right."""
    for target, outcome in found.items():
        if not truth_file(plan, target).exists():
            _save(truth_file(plan, target), outcome.truth)
    _save(file(plan, cell), {target: outcome.answers for target, outcome in found.items()})


def table(plan: Plan, target: str, cells: Sequence[Cell]) -> Numbers:
    """Say what each test row counts in each of some trials, ``(trials, rows)``."""
    truth = dict(np.load(truth_file(plan, target)))
    rows = []
    for cell in cells:
        with np.load(file(plan, cell)) as answers:
            rows.append(plan.problem.counted(target, answers[target], truth))
    return np.stack(rows)


def truth_file(plan: Plan, target: str) -> Path:
    """Name the file of what is right of a target's test rows."""
    return plan.directory / "outputs" / f"truth-{quote(target, safe=' ')}.npz"


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    held = io.BytesIO()
    np.savez_compressed(held, **dict(arrays))  # type: ignore[arg-type]
    write_atomic(path, held.getvalue(), sync=False)
