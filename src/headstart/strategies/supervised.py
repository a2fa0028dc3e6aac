"""Strategies that train on the target's labelled rows: from scratch, on frozen features, or through.

Each is a function ``(trial) -> Trained``; the table in ``__init__`` names them.

References:
    Features and probe: Donahue et al. (ICML 2014), https://arxiv.org/abs/1310.1531
    Gradual unfreezing: Howard & Ruder (ACL 2018), section 3.3, https://arxiv.org/abs/1801.06146
    LP-FT: Kumar et al. (ICLR 2022), section 3.4, https://arxiv.org/abs/2202.10054
    L2-SP: Li, Grandvalet & Davoine (ICML 2018), https://arxiv.org/abs/1802.01483
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from ..engine import cached_features, seeded
from ..models import Net, freeze, stages, unfreeze
from ..tasks import Labelled, Task
from ..transfer import L2SP, Plus, Supervised
from .trial import Curves, Trained, Trial

LOWER = 0.5  # ratio of the step sizes of neighbouring stages, from the head down


def scratch(trial: Trial) -> Trained:
    """Train a backbone with new weights on the target's rows alone: what reuse is measured against."""
    net = trial.fresh()
    return Trained(
        net,
        trial.train(
            net, [trial.target], steps=trial.problem.budget.steps, lr=trial.settings["lr"], phase="all"
        ),
    )


def features_logreg(trial: Trial) -> Trained:
    """Fit a logistic regression, with class weights, on frozen pretrained features."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=trial.settings["C"], class_weight="balanced", max_iter=1000)
    return _linear(trial, model)


def features_svm(trial: Trial) -> Trained:
    """Fit a linear support vector machine, with class weights, on frozen pretrained features."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=trial.settings["C"], class_weight="balanced", random_state=trial.seed, max_iter=5000)
    return _linear(trial, model)


def features_mlp(trial: Trial) -> Trained:
    """Train a small net with one hidden layer and class weights on frozen pretrained features."""
    net = trial.pretrained()
    freeze(net.backbone)
    rows = trial.labelled()
    z = cached_features(net, rows.x, task=trial.target.name)
    mean, scale = _standard(z)
    with seeded(trial.seed):
        hidden = nn.Linear(z.shape[1], 64)
        head = nn.Sequential(hidden, nn.ReLU(), nn.Linear(64, trial.target.kind.outputs))
    generator = trial.generator("hidden layer")
    for parameter in head.parameters():
        bound = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 0.0
        with torch.no_grad():
            parameter.uniform_(-bound, bound, generator=generator)
    small = Net(nn.Identity(), {trial.target.name: head})
    task = Task(trial.target.name, trial.target.kind, Labelled((z - mean) / scale, rows.y))
    loss = _balanced_loss(rows.y, trial.target.kind.outputs)

    def balanced(net: Net, batch: dict[str, Labelled], progress: float) -> dict[str, Tensor]:
        part = batch[task.name]
        return {task.name: loss(net(part.x, task.name), part.y)}

    curves = trial.train(
        small, [task], balanced, steps=trial.problem.budget.steps, lr=trial.settings["lr"], phase="head"
    )
    _fold(hidden, mean, scale)
    return Trained(Net(net.backbone, {trial.target.name: head}), curves)


def probe(trial: Trial) -> Trained:
    """Train a new linear head on the frozen pretrained backbone."""
    net = trial.pretrained()
    curves = trial.train_head(net, steps=trial.problem.budget.steps, lr=trial.settings["lr"])
    freeze(net.backbone)
    return Trained(net, curves)


def finetune(trial: Trial) -> Trained:
    """Train the head first, then everything, with smaller rates further down."""
    net, steps, lr = trial.pretrained(), trial.problem.budget.steps, trial.settings["lr"]
    curves = trial.train_head(net, steps=steps // 4, lr=HEAD_LR)
    curves |= trial.train(net, [trial.target], steps=steps - steps // 4, lr=lr, factor=LOWER, phase="all")
    return Trained(net, curves)


def lp_ft(trial: Trial) -> Trained:
    """Train the head for half of the steps, then everything with one small rate (LP-FT)."""
    net, steps, lr = trial.pretrained(), trial.problem.budget.steps, trial.settings["lr"]
    curves = trial.train_head(net, steps=steps // 2, lr=HEAD_LR)
    curves |= trial.train(net, [trial.target], steps=steps - steps // 2, lr=lr, phase="all")
    return Trained(net, curves)


def gradual(trial: Trial) -> Trained:
    """Train the head, then unfreeze one stage at a time from the top down."""
    net, lr = trial.pretrained(), trial.settings["lr"]
    parts = list(stages(net.backbone).values())
    steps = trial.problem.budget.steps // (len(parts) + 1)
    curves = trial.train_head(net, steps=steps, lr=HEAD_LR)
    freeze(net.backbone)
    for depth, part in enumerate(reversed(parts), start=1):
        unfreeze(part)
        phase = f"top {depth}"
        curves |= trial.train(net, [trial.target], steps=steps, lr=lr, factor=LOWER, phase=phase)
    return Trained(net, curves)


def l2sp(trial: Trial) -> Trained:
    """Fine-tune, and pay for every step away from the pretrained weights (L2-SP)."""
    net, steps = trial.pretrained(), trial.problem.budget.steps
    curves = trial.train_head(net, steps=steps // 4, lr=HEAD_LR)
    objective = Plus(Supervised(trial.target), L2SP(net, weight=trial.settings["weight"]))
    curves |= trial.train(
        net, [trial.target], objective, steps=steps - steps // 4, lr=1e-3, decay=0.0, phase="all"
    )
    return Trained(net, curves)


def multitask(trial: Trial) -> Trained:
    """Train target and sources together on one new backbone, then fine-tune on the target."""
    start = trial.fresh()
    return Trained(*_together(trial, start, trial.settings["lr"]))


def _together(trial: Trial, start: Net, lr: float) -> tuple[Net, Curves]:
    """Train the target beside the sources, then the target alone."""
    sources, steps = list(trial.problem.sources), trial.problem.budget.steps
    with seeded(trial.seed):
        net = trial.net(start.backbone, *sources)
    tasks = [trial.target, *sources]
    curves = trial.train(net, tasks, steps=steps - steps // 4, lr=lr, phase="together")
    net = Net(net.backbone, {trial.target.name: net.heads[trial.target.name]})
    curves |= trial.train(net, [trial.target], steps=steps // 4, lr=lr / 3, factor=LOWER, phase="target")
    return net, curves


HEAD_LR = 1e-2  # of the head alone, over frozen features; the choice is for the later phase


def _standard(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each feature and one spread for all: the spread of each is not known from a few rows."""
    mean = z.mean(0)
    return mean, (z - mean).square().sum(1).mean().sqrt().clamp(min=1e-6)


def _balanced_loss(y: Tensor, outputs: int) -> nn.Module:
    """Weigh classes by the inverse of their counts, as scikit-learn's ``"balanced"``."""
    if outputs == 1:
        positive = y.sum().clamp(min=1)
        binary = nn.BCEWithLogitsLoss(pos_weight=(len(y) - positive).clamp(min=1) / positive)
        return _Column(binary)
    counts = torch.bincount(y, minlength=outputs).clamp(min=1)
    return nn.CrossEntropyLoss(weight=len(y) / (outputs * counts))


class _Column(nn.Module):
    """Give a loss the one column of a binary head."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return self.loss(prediction[:, 0], y)


def _fold(layer: nn.Linear, mean: Tensor, scale: Tensor) -> None:
    """Write the standardisation of the features into the layer that reads them."""
    with torch.no_grad():
        layer.weight.div_(scale)
        layer.bias.sub_(layer.weight @ mean)


def _linear(trial: Trial, model: object) -> Trained:
    """Fit scikit-learn's linear classifier on standardised features and write it into the head."""
    net = trial.pretrained()
    freeze(net.backbone)
    rows, kind = trial.labelled(), trial.target.kind
    z = cached_features(net, rows.x, task=trial.target.name)
    mean, scale = _standard(z)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence warnings: the scores tell
        model.fit(((z - mean) / scale).double().numpy(), rows.y.numpy())  # type: ignore[attr-defined]
    coefficients = torch.from_numpy(model.coef_).float()  # type: ignore[attr-defined]
    intercept = torch.from_numpy(model.intercept_).float()  # type: ignore[attr-defined]
    with seeded(trial.seed):
        head = nn.Linear(z.shape[1], kind.outputs)
    with torch.no_grad():
        if kind.extensible:
            if len(coefficients) == 1:  # two classes: one plane, seen from both sides
                coefficients, intercept = (
                    torch.cat([-coefficients, coefficients]) / 2,
                    torch.cat([-intercept, intercept]) / 2,
                )
            head.weight.zero_()
            head.bias.fill_(-1e4)  # a class without rows is never the answer
            seen = torch.from_numpy(model.classes_).long()  # type: ignore[attr-defined]
            head.weight[seen], head.bias[seen] = coefficients, intercept
        else:
            head.weight.copy_(coefficients)
            head.bias.copy_(intercept)
    _fold(head, mean, scale)
    return Trained(Net(net.backbone, {trial.target.name: head}), {})
