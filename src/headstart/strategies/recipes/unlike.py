"""Strategies for a source whose rows are a table of other columns than the target's.

``shared+...`` and ``filled+...`` are the plain ways beside a learned one: the columns that both have
alone, and the target's others filled in from these. Of several such sources the one with most labelled rows
is taken.

References:
    Daumé III (ACL 2007), section 2, https://aclanthology.org/P07-1033, on the columns that both have;
    an encoder for each domain: Yao et al. (ACM MM 2019), section 3, https://arxiv.org/abs/1908.10552
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...datasets import map_columns
from ...datasets.shots import drawn
from ...domains import JointSpace
from ...engine import seeded
from ...models import Net
from ...models.backbones.plain import Raw
from ...tasks import Inputs, Labelled, Task, shifted
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from ..unlike import all_rows, column_names, shared, taken, width
from .align import joined
from .health import troubles
from .plain import LOGISTIC, RIDGE, Learner, standardise
from .pooled import DAUME, pool

MOST = 2000  # labelled rows of the target, all of which are looked at in each step


# Each side by an encoder of its own.


class Beside(nn.Module):
    """Bring rows of a source to the first layer of the target's net, and on through its others.

    Columns that both have go in by the net's own weights, the source's others by weights of this module.

    Args:
        layers: the net's, the first of them linear; the net trains them, and this module does not list them.
        here: columns of the target that the source has too.
        there: which of the source's these are.
        columns: how many the source has.

    Shape:
        rows ``(B, columns)``; returns features ``(B, D)``.
    """

    own: Tensor

    def __init__(self, layers: nn.Sequential, here: Sequence[int], there: Sequence[int], columns: int):
        super().__init__()
        first = layers[0]
        assert isinstance(first, nn.Linear)  # of an `mlp`
        self.here, self.there, self._net = list(here), list(there), (first, layers[1:])
        self.other = nn.Linear(columns, first.out_features)
        alone = torch.ones(columns)
        alone[self.there] = 0
        self.register_buffer("own", alone)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        first, rest = self._net
        z: Tensor = rest(self.other(x * self.own) + F.linear(x[:, self.there], first.weight[:, self.here]))
        return z


def joint_space(trial: Trial) -> Trained:
    """Train an encoder for each side into one space, on the labels of both; columns that both have share it.

    Tensors of the caller's own are standardised, each side by its own rows; columns that a reader made have
    their units already. Each step looks at the target's labels, so the steps are those on the target's rows.
    """
    target, source, here, there = _both(trial, named=False)
    own, old = Raw((width(target),)), Raw((width(source),))
    task = joined(target, [source])
    assert task.train.held  # it was joined of rows in memory
    rows, bare = task.train.to("cpu"), all_rows(target).cpu()
    assert isinstance(rows.x, Tensor)
    if not column_names(target):
        standardise(own, bare)
    if not column_names(source):
        standardise(old, rows.x)
    labelled = drawn(target.kind, trial.labelled().to("cpu"), MOST, trial.generator("labelled rows"))
    assert isinstance(labelled.x, Tensor)
    task = replace(task, train=replace(rows, x=old(rows.x)), unlabelled=Inputs(own(bare)))
    net = trial.fresh()
    layers = net.backbone.layers
    assert isinstance(layers, nn.Sequential)  # `needs` asked for it
    with seeded(trial.seed):
        encoder = Beside(layers, here, there, width(source)).to(trial.problem.on)
    lower = JointSpace(
        task,
        source=encoder,
        labelled=replace(labelled, x=own(labelled.x)).to(trial.problem.on),
        weight=float(trial.settings["weight"]),
    )
    stream, steps = shifted(task, 64, generator=trial.generator("shift")), trial.problem.steps
    curves = trial.train(net, [task], lower, steps=steps, lr=3e-3, stream=stream, phase="joint")
    head = nn.Sequential(*layers, net.heads[target.name])
    answers = Net(own.eval(), {target.name: head}).to(trial.problem.on)
    return Trained(answers, curves, told={"troubles": troubles(curves)})


JOINT_SPACE = Strategy(
    name="joint+space",
    run=joint_space,
    summary="an encoder for each side into one space, for a source with other columns",
    options=rates(1.0, 0.3, 0.1, name="weight"),
    needs=needs.joint,
    learns="both",
    reused="the labels of a source with other columns",
    paper="[Yao et al. 2019](https://arxiv.org/abs/1908.10552)",
    unlike=True,
)


# The columns that both have, and the others filled in.


def on_shared(trial: Trial, learner: Learner) -> Trained:
    """Learn from target and source rows in one pool, by the columns alone that both have."""
    target, source, here, there = _both(trial, named=True)
    posed = trial.problem.with_rows(targets=[_only(target, here)], sources=[_only(source, there)], unlike=[])
    trained = pool(replace(trial, problem=posed), learner)
    narrow, backbone = trained.net.backbone, Raw((width(target),), columns=here)
    assert isinstance(narrow, Raw)
    backbone.mean.copy_(narrow.mean)
    backbone.spread.copy_(narrow.spread)
    return replace(trained, net=Net(backbone.eval(), dict(trained.net.heads)).to(trial.problem.on))


def on_filled(trial: Trial, learner: Learner) -> Trained:
    """Learn from target and source rows in one pool, the source's missing columns filled from the others."""
    target, source, _, _ = _both(trial, named=True)
    one = filled(target, source, shared(target, source))
    return pool(replace(trial, problem=trial.problem.with_rows(sources=[one], unlike=[])), learner)


def filled(target: Task, source: Task, columns: Sequence[int | None]) -> Task:
    """Bring a source's training rows to the target's columns, which they are as of ``map_columns``."""
    assert target.train.held  # `needs` asked for tables in tensors
    assert source.train.held
    none = target.train.to("cpu").take(torch.arange(0))
    bare = replace(target, train=none, unlabelled=Inputs(all_rows(target).cpu()))
    rows = replace(source, train=source.train.to("cpu"), valid=None, test=None, unlabelled=None)
    return map_columns(bare, columns)(rows)


def _both(trial: Trial, *, named: bool) -> tuple[Task, Task, list[int], list[int]]:
    """Give the target, the source that is taken, and the numbers of the columns that both have."""
    target = trial.target
    source = taken(target, trial.problem.shared_unlike(), named=named)
    assert source is not None  # `needs` asked for it
    pairs = [(here, there) for there, here in enumerate(shared(target, source)) if here is not None]
    return target, source, [here for here, _ in pairs], [there for _, there in pairs]


def _only(task: Task, columns: Sequence[int]) -> Task:
    """Keep some columns of a task's training rows."""
    train = task.train
    assert isinstance(train, Labelled)
    assert isinstance(train.x, Tensor)
    kept = replace(train, x=train.x[:, list(columns)])
    return replace(task, train=kept, valid=None, test=None, unlabelled=None, encoding=None)


ROWS = "the rows of a source with other columns"
PLAIN: tuple[Strategy, ...] = tuple(
    Strategy(
        name=f"{name}+{learner}",
        run=partial(run, learner=fit),
        summary=f"{words} on target and source rows, {how}",
        options=rates(1.0, 0.1, 10.0, name="weight"),
        needs=asks,
        reused=ROWS,
        paper=paper,
        builds=False,
        unlike=True,
    )
    for name, run, how, learner, words, fit, asks, paper in (
        (
            "shared", on_shared, "by the columns that both have",
            "logreg", "logistic regression", LOGISTIC, needs.columns_shared_classes, DAUME,
        ),
        (
            "shared", on_shared, "by the columns that both have",
            "ridge", "ridge regression", RIDGE, needs.columns_shared_numbers, DAUME,
        ),
        (
            "filled", on_filled, "missing columns filled from the others",
            "logreg", "logistic regression", LOGISTIC, needs.columns_filled_classes, DAUME,
        ),
        (
            "filled", on_filled, "missing columns filled from the others",
            "ridge", "ridge regression", RIDGE, needs.columns_filled_numbers, DAUME,
        ),
    )
)  # fmt: skip
