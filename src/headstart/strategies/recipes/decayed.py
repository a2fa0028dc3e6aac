"""Fine-tuning with step sizes that fall from block to block towards the input.

References:
    Clark et al. (ICLR 2020), section 3.1, https://arxiv.org/abs/2003.10555
"""

from __future__ import annotations

from ...models import decayed_groups, fix_norms
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .finetune import HEAD_LR, START

DECAY = 0.8  # of neighbouring blocks


def finetune_decay(trial: Trial) -> Trained:
    """Train the head first, then everything, each block at 0.8 of the rate of the block above it.

    ``finetune`` halves the rate from stage to stage; a stage may hold many blocks, which then share one.

    Differs from the paper:
        the head trains alone for a quarter of the steps; the rate goes through one cycle.
    """
    net, steps, lr = trial.pretrained(), trial.problem.steps, trial.settings["lr"]
    fix_norms(net.backbone)
    curves = trial.train_head(net, steps=steps // 4, lr=HEAD_LR)
    groups = decayed_groups(net, lr, DECAY)
    curves |= trial.train(net, [trial.target], steps=steps - steps // 4, lr=lr, groups=groups, phase="all")
    return Trained(net, curves)


FINETUNE_DECAY = Strategy(
    name="finetune-decay",
    run=finetune_decay,
    summary="head first, then all, smaller rates from block to block",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.blocks,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Clark et al. 2020](https://arxiv.org/abs/2003.10555)",
)
