"""Strategies that learn the source first, and then move to the target with the head as it is."""

from __future__ import annotations

import copy

from torch import Tensor

from ...domains import ADDA, SHOT, centres
from ...engine import Watch, seeded
from ...engine.evaluate import undisturbed
from ...models import Net, device_of
from ...tasks import Task, batches
from ...tasks.nouns import move
from .. import needs
from ..situation import width_of
from ..starts import Curves
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .align import BARE, begun
from .health import troubles
from .sides import left_behind, some_bare

LATER = 3e-4  # rate of the second phase, which starts from a net that knows the source
TURNS = 3  # in each of which the centres of the classes are found anew


def adda(trial: Trial) -> Trained:
    """Train on the source in half of the steps; then move the backbone to where a critic is fooled."""
    task, net, half, curves, watch = _first_half(trial)
    before = copy.deepcopy(net)
    with seeded(trial.seed):
        width, weight = width_of(net.backbone, task), trial.settings["weight"]
        lower = ADDA(task, before, features=width, weight=weight).to(trial.problem.on)
    stream = trial.sides(task)
    curves |= trial.train(
        net, [task], lower, steps=half, lr=LATER, stream=stream, watch=watch, phase="target"
    )
    found = {"troubles": troubles(curves)}
    return Trained(net, curves, found, **left_behind(before, net, task.name))


def shot(trial: Trial) -> Trained:
    """Train on the source in half of the steps; then move the backbone by the target's rows alone."""
    task, net, half, curves, watch = _first_half(trial)
    before = copy.deepcopy(net)
    stream = trial.sides(task)
    for turn in range(TURNS):
        lower = SHOT(task, _centres(net, task), weight=trial.settings["weight"])
        steps = half // TURNS + (turn < half % TURNS)
        curves |= trial.train(
            net, [task], lower, steps=steps, lr=LATER, stream=stream, watch=watch, phase=f"target {turn}"
        )
    return Trained(net, curves, **left_behind(before, net, task.name))


def _first_half(trial: Trial) -> tuple[Task, Net, int, Curves, Watch | None]:
    """Train on the source in half of the steps; what looks at the net has a part in the other half."""
    half = max(1, trial.problem.budget.pretrain // 2)
    task, net, watch = begun(trial, half)
    stream = trial.moved(batches([task], 64, generator=trial.generator("source")), [task], "source")
    curves = trial.train(net, [task], steps=half, lr=1e-3, stream=stream, phase="source")
    return task, net, half, curves, watch


def _centres(net: Net, task: Task, most: int = 2000) -> Tensor:
    """Find the centres of the classes among the target's rows, at most so many."""
    x = move(some_bare(task, most), device_of(net))
    with undisturbed(net):
        z = net.features(x, task.name)
        p = task.kind.probabilities(net.head(task.name)(z))
    assert p is not None  # `needs` asked for classes
    return centres(p, z)


ADDA_STRATEGY = Strategy(
    name="adda",
    run=adda,
    summary="train on the source, then features a critic takes for the source's",
    options=rates(0.3, 0.1, 1.0, name="weight"),
    needs=needs.shift,
    learns="unlabelled",
    reused=BARE,
    frozen="head",
    paper="[Tzeng et al. 2017](https://arxiv.org/abs/1702.05464)",
    aligns=True,
)
SHOT_STRATEGY = Strategy(
    name="shot",
    run=shot,
    summary="train on the source, then sure and varied answers, without its rows",
    options=rates(0.3, 0.1, 1.0, name="weight"),
    needs=needs.shift,
    learns="unlabelled",
    reused=BARE,
    frozen="head",
    paper="[Liang et al. 2020](https://arxiv.org/abs/2002.08546)",
)
