"""Strategies that learn from episodes cut from the sources, and adapt on the target's few rows.

References:
    ProtoNet: Snell et al. (NeurIPS 2017), https://arxiv.org/abs/1703.05175
    MAML: Finn et al. (ICML 2017), https://arxiv.org/abs/1703.03400
    A pretrained start for episodes: Chen et al. (ICCV 2021), https://arxiv.org/abs/2003.04390
"""

from __future__ import annotations

import torch

from ..engine import seeded
from ..meta import MAML, Episodic, ProtoNet
from ..models import Adapted, Net, freeze
from ..tasks import Labelled, Stream, Task, episodes
from .supervised import _together
from .trial import Curves, Trained, Trial, rotated

QUERIES = 5
HALVINGS = 6  # of MAML's rate on the target, before it is given up


def protonet(trial: Trial) -> Trained:
    """Meta-train the features on episodes of the sources, then take the nearest class mean."""
    name = trial.target.name
    adaptation = ProtoNet(name)
    net, curves = _meta_train(trial, adaptation, lr=trial.settings["meta_lr"])
    return Trained(_adapt(adaptation(net.eval(), trial.labelled()), name), curves)


def maml(trial: Trial) -> Trained:
    """Meta-train start weights on episodes of the sources, then take gradient steps on the target."""
    name, lr = trial.target.name, trial.settings["lr"]
    net, curves = _meta_train(trial, MAML(name, lr=lr, steps=1, loss=trial.target.kind.loss), lr=3e-4)
    # The head is new for the target's classes: start it at zero, where every class is alike. It has
    # further to go than one step, so the adaptation takes as many as every strategy may.
    for parameter in net.heads[name].parameters():
        torch.nn.init.zeros_(parameter)
    return Trained(_adapt(_descend(trial, net.eval(), lr), name), curves)


def _descend(trial: Trial, net: Net, lr: float) -> Adapted:
    """Take MAML's steps on the target's rows; where they end higher than they began, with half the rate."""
    rows, kind = trial.labelled(), trial.target.kind
    with torch.no_grad():  # nothing is learned from the way here
        start = kind.loss(net(rows.x, trial.target.name), rows.y)
        for _ in range(HALVINGS):
            adaptation = MAML(trial.target.name, lr=lr, steps=trial.problem.budget.steps, loss=kind.loss)
            adapted = adaptation(net, rows)
            if kind.loss(adapted(rows.x), rows.y) < start:  # also false where it is not a number
                return adapted
            lr /= 2
    raise FloatingPointError(f"the steps on {trial.target.name!r} did not lower the loss at any rate")


def pretrain_multitask_fewshot(trial: Trial) -> Trained:
    """Start from the pretrained backbone, train with the sources, then take the nearest class mean."""
    net, curves = _together(trial, trial.pretrained(), trial.settings["lr"])
    name = trial.target.name
    return Trained(_adapt(ProtoNet(name)(net.eval(), trial.labelled()), name), curves)


def _adapt(adapted: Adapted, task: str) -> Net:
    net = adapted.export()
    return Net(net.backbone, {task: net.heads[task]})


def episode_source(trial: Trial) -> tuple[list[Task], int, int]:
    """Return the sources that episodes can be cut from, and the ways and shots that they allow."""
    tasks = [t for t in rotated(trial.problem) if allows_episodes(t)]
    counts = [class_counts(t) for t in tasks]
    ways = min([trial.target.kind.outputs, *map(len, counts)])
    shots = max(1, len(trial.labelled()) // trial.target.kind.outputs)
    return tasks, ways, min(shots, 5, *(int(c.min()) - QUERIES for c in counts))


def class_counts(task: Task) -> torch.Tensor:
    """Count the labelled rows of each class that has any."""
    assert isinstance(task.train, Labelled)
    return task.train.y[task.train.present()].unique(return_counts=True)[1]


def allows_episodes(task: Task) -> bool:
    """Tell whether every class has rows for a shot and the queries."""
    if not task.kind.extensible or not isinstance(task.train, Labelled):
        return False
    counts = class_counts(task)
    return len(counts) >= 2 and int(counts.min()) > QUERIES


def _meta_train(trial: Trial, adaptation: ProtoNet | MAML, *, lr: float) -> tuple[Net, Curves]:
    """Train the pretrained backbone on episodes; its normalisation keeps the statistics it has."""
    tasks, ways, shots = episode_source(trial)
    budget, name = trial.problem.budget, trial.target.name
    stream: Stream = episodes(
        tasks,
        ways=ways,
        shots=shots,
        queries=QUERIES,
        per_step=budget.episodes,
        generator=trial.generator("episodes"),
    )
    curves: Curves = {}

    def make() -> Net:
        start = trial.pretrained()
        with seeded(trial.seed):
            net = Net(start.backbone, {name: torch.nn.Linear(start.heads[name].in_features, ways)})  # type: ignore[arg-type]
        torch.nn.init.zeros_(net.heads[name].weight)  # type: ignore[arg-type]
        torch.nn.init.zeros_(net.heads[name].bias)  # type: ignore[arg-type]
        for layer in norms(net):
            freeze(layer)
        curves.update(
            trial.train(
                net,
                [],
                Episodic(adaptation),
                steps=budget.meta,
                lr=lr,
                decay=0.0,
                stream=stream,
                phase="meta",
            )
        )
        return net

    net = trial.memory.get(f"{adaptation} {lr} {ways} {shots}", make)
    with seeded(trial.seed):
        return trial.net(net.backbone), curves


def norms(net: Net) -> list[torch.nn.Module]:
    """List the normalisation layers that keep running statistics."""
    return [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
