"""Strategies that learn several tasks side by side on one backbone.

References:
    Caruana (Machine Learning 1997), https://doi.org/10.1023/A:1007379606734
"""

from __future__ import annotations

from ...engine import seeded, total
from ...models import Net
from ...seams import Combine
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Curves, Trained, Trial
from .finetune import lower


def multitask(trial: Trial) -> Trained:
    """Train targets and sources together on one new backbone, then go on with the targets alone."""
    return Trained(*together(trial, trial.fresh(), trial.settings["lr"]))


MULTITASK = Strategy(
    name="multitask",
    run=multitask,
    summary="target and sources together, then the target",
    options=rates(3e-3, 1e-3, 1e-2),
    needs=needs.sources,
    reused="the sources' rows",
    paper="[Caruana 1997](https://doi.org/10.1023/A:1007379606734)",
)


def together(trial: Trial, start: Net, lr: float, *, combine: Combine = total) -> tuple[Net, Curves]:
    """Train the targets beside the sources, then the targets alone; one head for each target is left.

    Args:
        trial: with at least one other task beside its target.
        start: whose backbone is trained.
        lr: step size; a third of it for the second part.
        combine: how the tasks' losses become one gradient.
    """
    targets = [t for t in trial.targets if bool(t.train.present().any())]
    sources, steps = list(trial.problem.sources), trial.problem.steps
    with seeded(trial.seed):
        net = trial.net(start.backbone, *targets[1:], *sources)
    tasks = [*targets, *sources]
    curves = trial.train(net, tasks, steps=steps - steps // 4, lr=lr, combine=combine, phase="together")
    net = Net(net.backbone, {t.name: net.heads[t.name] for t in targets})
    curves |= trial.train(
        net, targets, steps=steps // 4, lr=lr / 3, factor=lower(net), combine=combine, phase="target"
    )
    return net, curves
