"""Strategies that learn on the features of a frozen pretrained backbone.

References:
    Donahue et al. (ICML 2014), https://arxiv.org/abs/1310.1531
    Alain & Bengio (2016), https://arxiv.org/abs/1610.01644
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...engine import seeded
from ...maths import size
from ...models import Net, freeze
from ...models.net import Given
from ...tasks import Labelled, Task
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .plain import by_planes, planes

EXTRACTOR = "the pretrained backbone, as a fixed extractor"
PASSES = 100  # of a linear classifier over the answers at places, of which there are many
WORDS = 50_000  # with an answer each, that it goes through in a quarter of a minute
DONAHUE = "[Donahue et al. 2014](https://arxiv.org/abs/1310.1531)"


def logreg(trial: Trial) -> Trained:
    """Fit a logistic regression on frozen pretrained features."""
    return linear(trial, regression(trial))


LOGREG = Strategy(
    name="features+logreg",
    run=logreg,
    summary="logistic regression on frozen features",
    options=rates(1.0, 0.1, 10.0, name="C"),
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


def standard(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each feature and one spread for all: the spread of each is not known from a few rows."""
    unit = size(z.abs().amax())  # of numbers that are far from it, squares leave the range of floats
    mean = (z / unit).mean(0)
    scale = (z / unit - mean).square().sum(1).mean().sqrt().clamp(min=1e-6)
    return mean * unit, scale * unit


def fold(layer: nn.Linear, mean: Tensor, scale: Tensor) -> None:
    """Write the standardisation of the features into the layer that reads them."""
    with torch.no_grad():
        layer.weight.div_(scale)
        layer.bias.sub_(layer.weight @ mean)


def linear(trial: Trial, model: Any) -> Trained:
    """Fit scikit-learn's linear classifier on standardised features and write it into the head."""
    return fitted(trial, trial.pretrained(), model)


def fitted(trial: Trial, net: Net, model: Any) -> Trained:
    """Fit scikit-learn's linear classifier on standardised features of a net, which is then frozen."""
    freeze(net.backbone)
    head = linear_head(trial, trial.features(net), model)
    return Trained(Net(net.backbone, {trial.target.name: head}), {})


def linear_head(trial: Trial, z: Tensor, model: Any) -> nn.Module:
    """Fit scikit-learn's linear classifier on standardised features ``(B, D)``, and write it into a layer.

    Of answers at places, each is a row; of more than a learner goes through in seconds, some are drawn.
    """
    kind = trial.target.kind
    z, y = some_entries(trial, z)
    if not kind.per_row and kind.classes:
        model.set_params(max_iter=PASSES)
    mean, scale = standard(z)
    quiet(model, ((z - mean) / scale).double().cpu().numpy(), y.cpu().numpy())
    head = planes(model, kind.single).to(z.device)
    fold(head, mean, scale)
    return kind.placed(head)


def some_entries(trial: Trial, z: Tensor) -> tuple[Tensor, Tensor]:
    """List features and target of each answer by itself; of many at places, some that are drawn."""
    kind = trial.target.kind
    z, y = kind.entries(z, trial.labelled().y)
    columns, classes = z.shape[-1], len(kind.classes)
    most = by_planes(columns, classes)
    if kind.axes == 1:  # words differ, where pixels are much like their neighbours
        most = max(most, min(WORDS, 2**29 // (columns * max(1, classes - 1))))
    if kind.per_row or len(z) <= most:
        return z, y
    drawn = torch.randperm(len(z), generator=trial.generator("places of a learner"))[:most].to(z.device)
    return z[drawn], y[drawn]


def regression(trial: Trial) -> Any:
    """Make a logistic regression as the trial's settings say; it is not fitted."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=trial.settings["C"], class_weight=trial.class_weight, max_iter=1000)


def quiet(model: Any, z: NDArray[Any], y: NDArray[Any]) -> Any:
    """Fit without warnings of convergence: the scores tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(z, y)
