"""Tuning of features so that rows of a class lie together, and a regression on them.

References:
    Tunstall et al. (2022), https://arxiv.org/abs/2209.11055
    Khosla et al. (NeurIPS 2020), https://arxiv.org/abs/2004.11362
"""

from __future__ import annotations

from ...models import fix_norms
from ...tasks import pairs
from ...transfer import SupCon
from .. import needs
from ..strategy import Setting, Strategy
from ..trial import Trained, Trial
from .features import fitted
from .finetune import START
from .linear import regression

TUNED: tuple[dict[str, Setting], ...] = (  # 0.05, as sentence encoders are trained, suits many classes
    {"lr": 1e-4, "C": 10.0, "temperature": 0.1},
    {"lr": 1e-4, "C": 10.0, "temperature": 0.05},
    {"lr": 3e-5, "C": 10.0, "temperature": 0.1},
)


def contrastive(trial: Trial) -> Trained:
    """Tune the backbone until rows of a class lie together (SupCon), then fit a logistic regression on it.

    A batch has two rows of each of half as many classes as it has rows; of a class with one row that row
    twice, which dropout makes two views of. Normalisation layers with running statistics stay as they came.

    Differs from the papers:
        all rows of a batch are compared at once (SupCon), not drawn as pairs that are alike or not (SetFit);
        there is no layer between the features and the loss.
    """
    net, target, settings = trial.pretrained(), trial.target, trial.settings
    fix_norms(net.backbone)
    stream = pairs(target, trial.problem.budget.batch // 2, generator=trial.generator("pairs"))
    curves = trial.train(
        net,
        [target],
        SupCon(target, float(settings["temperature"])),
        steps=trial.problem.steps,
        lr=settings["lr"],
        stream=stream,
        phase="pairs",
    )
    return Trained(fitted(trial, net, regression(trial)).net, curves)


CONTRASTIVE = Strategy(
    name="contrastive",
    run=contrastive,
    summary="features tuned so that a class lies together, then logistic regression",
    options=TUNED,
    needs=needs.classes,
    reused=START,
    frozen="normalisation",
    paper="[Tunstall et al. 2022](https://arxiv.org/abs/2209.11055)",
)
