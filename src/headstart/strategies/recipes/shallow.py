"""Adaptation without training a net: features of two domains are brought together, with a learner behind.

Features are those of the pretrained backbone where there is one, else the rows as they are. All is written
into the net's head, which reads the target's rows.

Rows as they are become z-scores by the rows of their own domain (``scale = "columns"``; tables of which nine
tenths are 0 have one spread for all columns). ``scale = "rows"`` is the protocol of the published tables on
feature tables (Office-Caltech, SURF and DeCAF): each row is divided by its sum first, and each column always
has its own spread.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...datasets.shots import drawn
from ...errors import unknown, wrong
from ...maths import random
from ...measure.rows import some
from ...models import Net, freeze
from ...models.backbones.plain import Raw
from ...models.heads import Neighbours, Vectors
from ...tasks import Kind, Labelled, X
from ...tasks.arrays import lit
from ...tasks.nouns import take
from ..reading import beyond
from ..trial import Trained, Trial
from .align import source_numbers
from .constant import prior
from .linear import standard
from .plain import Learner, Rows, numbers, standardise
from .pooled import of_sources

Matrix = NDArray[numpy.float64]
MOST = 4000  # rows of a side
COLUMNS, ROWS = "columns", "rows"  # ways to scale rows as they are


@dataclass(frozen=True, eq=False)
class Sides:
    """Hold the features of both domains, standardised.

    Args:
        backbone: makes features of rows.
        source: features of the sources' rows ``(N, D)``.
        y: their class numbers ``(N,)``, or numbers ``(N, O)``.
        target: features of the target's unlabelled rows ``(M, D)``.
        mean: that was taken from the features of the target, ``(D,)``, or 0 where the backbone does it.
        scale: that these were divided by.
        group: which source each of their rows is of, counted from 0: ``(N,)``.
        own: makes standardised features of more source rows.
    """

    backbone: nn.Module
    source: Matrix
    y: NDArray[Any]
    target: Matrix
    mean: Tensor | float = 0.0
    scale: Tensor | float = 1.0
    group: Tensor = field(kw_only=True)
    own: Callable[[X], Matrix] = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class Aligned:
    """Hold source rows as a learner takes them.

    Args:
        source: features of the sources' rows.
        weights: of these rows, 1 on average; ``None`` where all count the same.
        map: what brings the target's features to the same space; ``None`` where they are there.
        told: what else the report shows, as of ``Trained``.
    """

    source: Matrix
    weights: Matrix | None = None
    map: nn.Module | None = None
    told: Mapping[str, Any] = field(default_factory=dict)


Align = Callable[[Trial, Sides], Aligned]


def adapt(trial: Trial, align: Align, learner: Learner, *, most: int = MOST, apart: bool = True) -> Trained:
    """Bring the features of source and target together, and fit a learner on the source's labels."""
    sides = both(trial, most, apart)
    aligned = align(trial, sides)
    head = fit(trial, learner, sides, aligned)

    def of_source(held: Labelled) -> tuple[Tensor, Tensor]:
        return asked(trial, align, learner, sides, held.take(some(held.y, most // 4, "rows asked about")))

    def part(train: Labelled, held: Labelled, bare: X) -> float:
        return parted(sides, aligned)

    parts = [part for part in (aligned.map, head) if part is not None]
    trained = answer(trial, sides, parts[0] if len(parts) == 1 else nn.Sequential(*parts))
    return replace(trained, of_source=of_source, beyond=part, told=aligned.told)


def asked(
    trial: Trial, align: Align, learner: Learner, sides: Sides, held: Labelled
) -> tuple[Tensor, Tensor]:
    """Answer held-out source rows, which are aligned along with the others; give outputs and labels.

    The target's rows go another way than the source's, so the head cannot be asked about these directly. An
    alignment sees no label, so the learner has seen none of these rows'.
    """
    count = len(sides.source)
    aligned = align(trial, replace(sides, source=numpy.concatenate([sides.source, sides.own(held.x)])))
    weights = None if aligned.weights is None else aligned.weights[:count]
    head = fit(trial, learner, sides, Aligned(aligned.source[:count], weights))
    with torch.no_grad():
        return head(torch.from_numpy(aligned.source[count:]).float()), held.y.cpu()


def parted(sides: Sides, aligned: Aligned) -> float:
    """Tell which part of the target's rows lie outside of the source's, where the learner reads them.

    Nothing here was learned from labels, so a fifth of the source's rows stand for held-out ones.
    """
    source, target = (torch.from_numpy(side) for side in (aligned.source, sides.target))
    if aligned.map is not None:
        with torch.no_grad():
            target = aligned.map(target.float()).double()
    order = torch.randperm(len(source), generator=random.generator("rows beyond", 0))
    count = max(1, len(source) // 5)
    return beyond(source[order[count:]], source[order[:count]], target)


def both(trial: Trial, most: int, apart: bool) -> Sides:
    """Make the features of both domains, of at most so many rows each.

    Args:
        trial: of a target with unlabelled rows, and sources with its classes.
        most: rows of each.
        apart: whether each domain is standardised by its own rows, or both by the source's.
    """
    kind, bare = trial.target.kind, trial.target.unlabelled
    assert bare is not None  # `needs` asked for it
    generator = trial.generator("rows of both domains")
    rows = of_sources(trial)
    rows = replace(rows, group=source_numbers(trial.problem.shared()).to(rows.y.device))
    source = drawn(kind, rows, most, generator)
    assert source.group is not None
    group = source.group.cpu()
    at = torch.arange(len(bare))
    if len(at) > most:
        at = torch.randperm(len(at), generator=generator)[:most].sort().values
    x = take(bare.x, at) if bare.held else bare.take(at).x
    y = numbered(kind, source.y)
    if not trial.problem.comes_pretrained():
        assert isinstance(x, Tensor)
        assert isinstance(source.x, Tensor)
        before, x = lit(source.x).cpu(), lit(x).cpu()
        by_rows = _scale(trial) == ROWS
        old, new = (Raw(tuple(x.shape[1:]), unit=by_rows) for _ in range(2))
        standardise(old, before, each=by_rows)
        standardise(new, x if apart else before, each=by_rows)
        return Sides(
            new.eval(),
            numbers(old, before),
            y,
            numbers(new, x),
            group=group,
            own=lambda x: numbers(old, lit(x).cpu()),  # type: ignore[arg-type]
        )
    if _scale(trial) == ROWS:
        raise wrong("`scale`", expected="columns", found="rows, with features of a pretrained backbone")
    net = trial.pretrained()
    freeze(net.backbone)
    z, other = (trial.starts.features(net, rows, trial.target.name).double().cpu() for rows in (source.x, x))
    of_source = standard(z)
    mean, scale = standard(other) if apart else of_source
    there = ((z - of_source[0]) / of_source[1]).numpy(), y, ((other - mean) / scale).numpy()

    def own(x: X) -> Matrix:
        more = trial.starts.features(net, x, trial.target.name).double().cpu()
        return ((more - of_source[0]) / of_source[1]).numpy()

    return Sides(net.backbone, *there, mean, scale, group=group, own=own)


def numbered(kind: Kind, y: Tensor) -> NDArray[Any]:
    """Give the class numbers of answers ``(N,)``, or the numbers themselves ``(N, O)``."""
    return (kind.numbers(y) if kind.exclusive else y.double().reshape(len(y), -1)).cpu().numpy()


def _scale(trial: Trial) -> str:
    """Say how rows as they are become comparable: by columns, or each row by its sum before that."""
    scale = str(trial.settings.get("scale", COLUMNS))
    if scale not in (COLUMNS, ROWS):
        raise unknown("`scale`", scale, (COLUMNS, ROWS))
    return scale


def fit(trial: Trial, learner: Learner, sides: Sides, aligned: Aligned) -> nn.Module:
    """Fit a learner; where the source has one class, that is the answer."""
    if trial.target.kind.exclusive and len(numpy.unique(sides.y)) < 2:
        return prior(trial.target.kind, torch.from_numpy(sides.y), aligned.source.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence: the scores tell
        return learner.fit(trial, Rows(sides.backbone, aligned.source, sides.y, aligned.weights))  # type: ignore[arg-type]


def answer(trial: Trial, sides: Sides, head: nn.Module) -> Trained:
    """Put a head of standardised features behind the backbone."""
    first = head
    while isinstance(first, nn.Sequential):
        first = first[0]
    with torch.no_grad():
        if isinstance(first, Vectors | Neighbours):
            first.rows.mul_(sides.scale).add_(sides.mean)
            if isinstance(first, Vectors):
                first.gamma.div_(sides.scale**2)
        else:
            assert isinstance(first, nn.Linear)
            first.weight.div_(sides.scale)
            first.bias.sub_(first.weight @ torch.as_tensor(sides.mean).float().expand(first.in_features))
    return Trained(Net(sides.backbone, {trial.target.name: head}).to(trial.problem.on), {})
