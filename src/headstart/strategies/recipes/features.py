"""Strategies that learn on the features of a frozen pretrained backbone.

References:
    Donahue et al. (ICML 2014), https://arxiv.org/abs/1310.1531
    Alain & Bengio (2016), https://arxiv.org/abs/1610.01644
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ...engine import seeded
from ...models import Net, freeze
from ...models.net import Given
from ...tasks import Labelled, Task
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .left_out import regressed
from .linear import fold, linear_head, standard

EXTRACTOR = "the pretrained backbone, as a fixed extractor"
DONAHUE = "[Donahue et al. 2014](https://arxiv.org/abs/1310.1531)"


def logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on frozen pretrained features, with the penalty that left-out rows choose."""
    return chosen(trial, trial.pretrained())


LOGREG = Strategy(
    name="features+logreg",
    run=logreg,
    summary="logistic regression on frozen features",
    options=rates(10.0, name="C"),
    needs=needs.decided,
    reused=EXTRACTOR,
    frozen="backbone",
    paper=DONAHUE,
)


def svm(trial: Trial) -> Trained:
    """Fit a linear support vector machine on frozen pretrained features."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(
        C=trial.settings["C"], class_weight=trial.class_weight, random_state=trial.seed, max_iter=5000
    )
    return linear(trial, model)


SVM = Strategy(
    name="features+svm",
    run=svm,
    summary="linear SVM on frozen features",
    options=rates(0.1, 0.01, 1.0, name="C"),
    needs=needs.decided,
    reused=EXTRACTOR,
    frozen="backbone",
    paper=DONAHUE,
)


def mlp(trial: Trial) -> Trained:
    """Train a small net with one hidden layer on frozen pretrained features."""
    net = trial.pretrained()
    freeze(net.backbone)
    name, kind, y = trial.target.name, trial.target.kind, trial.labelled().y
    z = trial.features(net)
    mean, scale = standard(kind.entries(z, y)[0])
    with seeded(trial.seed):
        hidden = nn.Linear(z.shape[-1], 64)
        head = nn.Sequential(hidden, nn.ReLU(), nn.Linear(64, kind.outputs))
    generator = trial.generator("hidden layer")
    for parameter in head.parameters():
        bound = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 0.0
        with torch.no_grad():
            parameter.uniform_(-bound, bound, generator=generator)
    placed = kind.placed(head)
    small = Net(Given(), {name: placed}).to(z.device)
    task = Task(name, kind, Labelled((z - mean) / scale, y), weights=trial.target.weights)
    steps, lr = trial.problem.steps, trial.settings["lr"]
    curves = trial.train(small, [task], steps=steps, lr=lr, phase="head")
    fold(hidden, mean, scale)
    return Trained(Net(net.backbone, {name: placed}), curves)


MLP = Strategy(
    name="features+mlp",
    run=mlp,
    summary="small net on frozen features",
    options=rates(3e-3, 1e-3, 1e-2),
    needs=needs.decided,
    reused=EXTRACTOR,
    frozen="backbone",
    paper=DONAHUE,
)


def probe(trial: Trial) -> Trained:
    """Train a new linear head on the frozen pretrained backbone."""
    net = trial.pretrained()
    curves = trial.train_head(net, steps=trial.problem.steps, lr=trial.settings["lr"])
    freeze(net.backbone)
    return Trained(net, curves)


PROBE = Strategy(
    name="probe",
    run=probe,
    summary="new linear head on the frozen backbone",
    options=rates(1e-2, 3e-3, 3e-2),
    needs=needs.start,
    reused=EXTRACTOR,
    frozen="backbone",
    paper="[Alain & Bengio 2016](https://arxiv.org/abs/1610.01644)",
)


def chosen(trial: Trial, net: Net) -> Trained:
    """Fit a logistic regression on features of a net, which is then frozen; ``regressed`` says how."""
    freeze(net.backbone)
    head, C = regressed(trial, trial.features(net))
    return Trained(Net(net.backbone, {trial.target.name: head}), {}, {"C": C})


def linear(trial: Trial, model: Any) -> Trained:
    """Fit scikit-learn's linear classifier on standardised features and write it into the head."""
    return fitted(trial, trial.pretrained(), model)


def fitted(trial: Trial, net: Net, model: Any) -> Trained:
    """Fit scikit-learn's linear classifier on standardised features of a net, which is then frozen."""
    freeze(net.backbone)
    head = linear_head(trial, trial.features(net), model)
    return Trained(Net(net.backbone, {trial.target.name: head}), {})
