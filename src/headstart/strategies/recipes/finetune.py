"""Strategies that go on training a pretrained backbone on the target's labelled rows.

Normalisation layers with running statistics stay as they came, weights and statistics: few rows move them
far.

References:
    Gradual unfreezing: Howard & Ruder (ACL 2018), section 3.3, https://arxiv.org/abs/1801.06146
    LP-FT: Kumar et al. (ICLR 2022), section 3.4, https://arxiv.org/abs/2202.10054
    L2-SP: Li, Grandvalet & Davoine (ICML 2018), https://arxiv.org/abs/1802.01483
"""

from __future__ import annotations

from ...engine import Watch
from ...models import Net, fix_norms, freeze, stages, unfreeze
from ...seams import Objective
from ...transfer import L2SP, Plus, Supervised
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Curves, Trained, Trial

LOWER = 0.5  # ratio of the step sizes of neighbouring stages, from the head down
LOWEST = 1 / 64  # of the head's step size, for the lowest of many stages
HEAD_LR = 1e-2  # of the head alone, over frozen features; the choice is for the later phase
START = "the pretrained backbone, as a start"


def lower(net: Net) -> float:
    """Give the ratio of the step sizes of neighbouring stages: a half, nearer to 1 where there are many."""
    return max(LOWER, LOWEST ** (1 / len(stages(net.backbone))))


def finetune(trial: Trial) -> Trained:
    """Train the head first, then everything, with smaller rates further down."""
    net = trial.pretrained()
    return Trained(net, head_then_all(trial, net, lr=trial.settings["lr"]))


def head_then_all(
    trial: Trial, net: Net, objective: Objective | None = None, *, lr: float, watch: Watch | None = None
) -> Curves:
    """Train the head for a quarter of the steps, then everything, with smaller rates further down."""
    steps = trial.problem.steps
    fix_norms(net.backbone)
    curves = trial.train_head(net, steps=steps // 4, lr=HEAD_LR)
    rest = steps - steps // 4
    return curves | trial.train(
        net, [trial.target], objective, steps=rest, lr=lr, factor=lower(net), watch=watch, phase="all"
    )


FINETUNE = Strategy(
    name="finetune",
    run=finetune,
    summary="head first, then all, smaller rates below",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.start,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Yosinski et al. 2014](https://arxiv.org/abs/1411.1792)",
)


def lp_ft(trial: Trial) -> Trained:
    """Train the head for half of the steps, then everything with one small rate (LP-FT)."""
    net, steps, lr = trial.pretrained(), trial.problem.steps, trial.settings["lr"]
    fix_norms(net.backbone)
    curves = trial.train_head(net, steps=steps // 2, lr=HEAD_LR)
    curves |= trial.train(net, [trial.target], steps=steps - steps // 2, lr=lr, phase="all")
    return Trained(net, curves)


LP_FT = Strategy(
    name="lp_ft",
    run=lp_ft,
    summary="head for half the steps, then all with one small rate",
    options=rates(3e-4, 1e-4, 1e-3),
    needs=needs.start,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Kumar et al. 2022](https://arxiv.org/abs/2202.10054)",
)


def gradual(trial: Trial) -> Trained:
    """Train the head, then unfreeze one stage at a time from the top down."""
    net, lr = trial.pretrained(), trial.settings["lr"]
    fix_norms(net.backbone)
    parts = [s for s in stages(net.backbone).values() if any(p.requires_grad for p in s.parameters())]
    steps = trial.problem.steps // (len(parts) + 1)
    curves = trial.train_head(net, steps=steps, lr=HEAD_LR)
    freeze(net.backbone)
    for depth, part in enumerate(reversed(parts), start=1):
        fix_norms(unfreeze(part))
        phase = f"top {depth}"
        curves |= trial.train(net, [trial.target], steps=steps, lr=lr, factor=lower(net), phase=phase)
    return Trained(net, curves)


GRADUAL = Strategy(
    name="gradual",
    run=gradual,
    summary="unfreeze stage by stage from the top down",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.start,
    reused=START,
    frozen="normalisation; lower stages at first",
    paper="[Howard & Ruder 2018](https://arxiv.org/abs/1801.06146)",
)


def l2sp(trial: Trial) -> Trained:
    """Fine-tune, and pay for every step away from the pretrained weights (L2-SP)."""
    net, steps = trial.pretrained(), trial.problem.steps
    fix_norms(net.backbone)
    curves = trial.train_head(net, steps=steps // 4, lr=HEAD_LR)
    objective = Plus(Supervised(trial.target), L2SP(net, weight=trial.settings["weight"]))
    rest = steps - steps // 4
    curves |= trial.train(net, [trial.target], objective, steps=rest, lr=1e-3, decay=0.0, phase="all")
    return Trained(net, curves)


L2_SP = Strategy(
    name="l2sp",
    run=l2sp,
    summary="fine-tune near the pretrained weights",
    options=rates(1.0, 0.1, 10.0, name="weight"),
    needs=needs.start,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Li et al. 2018](https://arxiv.org/abs/1802.01483)",
)
