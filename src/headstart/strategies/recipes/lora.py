"""Fine-tuning by low-rank updates of a frozen backbone.

References:
    Hu et al. (ICLR 2022), https://arxiv.org/abs/2106.09685
"""

from __future__ import annotations

from ...transfer import lora as low_rank
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .finetune import HEAD_LR, START

RANK = 8


def lora(trial: Trial) -> Trained:
    """Train the head first, then with it updates of rank 8 beside the frozen weights, and add them (LoRA).

    Normalisation layers with running statistics stay as they came.

    Differs from the paper:
        the head trains alone for a quarter of the steps; all linear layers and convolutions get updates.
    """
    net, steps, lr = trial.pretrained(), trial.problem.steps, trial.settings["lr"]
    curves = trial.train_head(net, steps=steps // 4, lr=HEAD_LR)
    with low_rank(net, RANK, 2.0 * RANK, generator=trial.generator("lora")):
        curves |= trial.train(net, [trial.target], steps=steps - steps // 4, lr=lr, phase="updates")
    return Trained(net, curves)


LORA = Strategy(
    name="lora",
    run=lora,
    summary="head first, then updates of low rank beside frozen weights",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.peft,
    reused=START,
    frozen="all but updates of low rank",
    paper="[Hu et al. 2022](https://arxiv.org/abs/2106.09685)",
)
