"""Fine-tuning whose weights are a mean: along the steps, or with those it started from.

References:
    Izmailov et al. (UAI 2018), https://arxiv.org/abs/1803.05407
    Wortsman et al. (CVPR 2022), https://arxiv.org/abs/2109.01903
"""

from __future__ import annotations

import copy

from ...engine import Averaged
from ...models import fix_norms
from ...transfer import wise_ft as mixed
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .finetune import HEAD_LR, START, head_then_all


def swa(trial: Trial) -> Trained:
    """Fine-tune, and hand over the mean of the weights of the last half of the steps (SWA).

    Differs from the paper:
        the rate falls along its cycle as in every other strategy; the paper keeps it constant or lets it
        return, and so moves farther between the weights that are averaged.
    """
    net, rest = trial.pretrained(), trial.problem.steps - trial.problem.steps // 4
    watch = Averaged(start=max(1, rest // 2))
    return Trained(net, head_then_all(trial, net, lr=trial.settings["lr"], watch=watch))


def ema(trial: Trial) -> Trained:
    """Fine-tune, and hand over the exponential mean of the weights, over a tenth of the steps or so (EMA)."""
    net, rest = trial.pretrained(), trial.problem.steps - trial.problem.steps // 4
    watch = Averaged(decay=1 - 1 / max(2.0, rest / 10))
    return Trained(net, head_then_all(trial, net, lr=trial.settings["lr"], watch=watch))


def wise_ft(trial: Trial) -> Trained:
    """Train the head, then everything but normalisation, and hand over the mean of both (WiSE-FT).

    Differs from the paper:
        the head is trained on the trial's rows; the paper's comes from words.
    """
    net, steps, lr = trial.pretrained(), trial.problem.steps, trial.settings["lr"]
    curves = trial.train_head(net, steps=steps // 2, lr=HEAD_LR)
    start = copy.deepcopy(net)
    fix_norms(net.backbone)
    curves |= trial.train(net, [trial.target], steps=steps - steps // 2, lr=lr, phase="all")
    return Trained(mixed(start, net), curves)


SWA = Strategy(
    name="finetune-swa",
    run=swa,
    summary="head first, then all; the mean of the later weights",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.start,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Izmailov et al. 2018](https://arxiv.org/abs/1803.05407)",
)
EMA = Strategy(
    name="finetune-ema",
    run=ema,
    summary="head first, then all; the exponential mean of the weights",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.start,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Polyak & Juditsky 1992](https://doi.org/10.1137/0330046)",
)
WISE_FT = Strategy(
    name="wise-ft",
    run=wise_ft,
    summary="head first, then all; the mean of the weights before and after",
    options=rates(3e-4, 1e-4, 1e-3),
    needs=needs.start,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Wortsman et al. 2022](https://arxiv.org/abs/2109.01903)",
)
