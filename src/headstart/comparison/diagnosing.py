"""How a target without labels differs from its sources: looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..measure import kind_of_shift
from ..strategies import Situation, Starts, Trial
from ..strategies.needs import shallow
from ..strategies.recipes.shallow import both
from .planes import plane

ROWS = 600  # of a side: as many as the diagnosis looks at
LEAST = 10  # rows of a side, below which there is none
ALIGNMENT_HARMS = "label"  # the kind of shift under which ways that align features are not recommended


def ratio(shift: Mapping[str, Any]) -> Tensor | None:
    """Give the ratios of the classes in the target, where the diagnosis is that their shares differ."""
    if shift.get("kind") != ALIGNMENT_HARMS:
        return None
    return torch.tensor(list(shift["class_ratio"].values()), dtype=torch.float64)


def shift(problem: Situation, starts: Starts) -> dict[str, Any] | None:
    """Diagnose the shift from the sources to the first target's bare rows; None where nothing can be said.

    Features are those of a pretrained backbone, else the rows as they are.

    Returns:
        as JSON ``kind``, ``advice``, ``p_value``, ``a_distance``, ``mmd``, ``explained``, ``outside``,
        ``class_ratio``: by class how many times as common it is in the target; and ``plane``, some rows of
        both sides.
    """
    if shallow(problem):
        return None
    sides = both(Trial(problem, {}, 0, starts), ROWS, apart=False)
    y = torch.from_numpy(sides.y)
    classes = problem.target.kind.classes
    if min(len(y), len(sides.target)) < LEAST or int(y.bincount(minlength=len(classes)).min()) < 2:
        return None
    found = kind_of_shift(torch.from_numpy(sides.source), y, torch.from_numpy(sides.target))
    ratios = zip(map(str, classes), found.class_ratio.tolist(), strict=True)
    return {
        "kind": found.kind,
        "advice": found.advice,
        "p_value": found.p_value,
        "a_distance": found.a_distance,
        "mmd": found.mmd,
        "explained": found.explained,
        "outside": found.outside,
        "class_ratio": dict(ratios),
        "plane": plane(torch.from_numpy(sides.source), y, torch.from_numpy(sides.target)),
    }
