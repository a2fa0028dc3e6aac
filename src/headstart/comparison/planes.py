"""Rows of a source and of a target on one plane: before training, and as the model sees them.

Shapes: ``N`` source rows, ``M`` target rows, ``D`` features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..engine import predict
from ..maths.random import generator
from ..models import Net
from ..strategies import Trained
from ..strategies.recipes.align import joined
from ..strategies.recipes.sides import some_bare
from ..tasks import Task
from ..tasks.nouns import take

MOST = 150  # rows of a side


def plane(source: Tensor, y: Tensor, target: Tensor) -> dict[str, Any]:
    """Lay both sides on the two directions along which they vary most, together.

    Args:
        source: features.
        y: class numbers of these.
        target: features.

    Shape:
        ``source (N, D)``, ``y (N,)``, ``target (M, D)``; of more than 150 rows of a side the first ones.

    Returns:
        as JSON ``source``, rows of two places and a class number; ``target``, rows of two places; ``share``,
        of the variance that the plane holds.
    """
    sides = [side[:MOST].flatten(1).double().cpu() for side in (source, target)]
    rows = torch.cat(sides)
    rows = rows - rows.mean(0)
    _, values, turned = torch.linalg.svd(rows, full_matrices=False)
    axes = turned[:2]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # either way round is as good
    at = rows @ axes.T
    at = torch.nn.functional.pad(at, (0, 2 - at.shape[1])) / at.abs().max().clamp(min=1e-12)
    here, there = (part.round(decimals=3).tolist() for part in at.split([len(side) for side in sides]))
    total = float(values.square().sum())
    return {
        "source": [[*place, int(c)] for place, c in zip(here, y[:MOST].tolist(), strict=True)],
        "target": there,
        "share": float(values[:2].square().sum()) / total if total else 1.0,
    }


def of_net(trained: Trained, target: Task, sources: Sequence[Task]) -> dict[str, Any]:
    """Lay the features of a net on a plane; nothing where it has none of both sides that can be compared."""
    apart = trained.of_source is not None and trained.before is None  # each side goes its own way to one head
    if apart or not target.kind.exclusive:
        return {}
    source = joined(target, list(sources)).train
    assert source.held  # it was joined of rows in memory
    at = torch.randperm(len(source), generator=generator("rows on a plane"))[:MOST]
    sides = (trained.before or trained.net, take(source.x, at)), (trained.net, some_bare(target, MOST))
    z = [predict(_features(net, target.name), target.name, x, progress=False) for net, x in sides]
    return plane(z[0], target.kind.numbers(source.y[at]), z[1])


def _features(net: Net, name: str) -> Net:
    return Net(net.backbone, {name: nn.Identity()})
