"""Surgical fine-tuning: one block of a pretrained backbone is tuned, the one that the rows ask to change.

References:
    Lee et al. (ICLR 2023), https://arxiv.org/abs/2210.11466
"""

from __future__ import annotations

from itertools import islice

from ...engine.devices import to
from ...models import depths, freeze
from ...tasks import batches
from ...transfer import Supervised, relative_gradients
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .finetune import HEAD_LR, START

LOOKS = 10  # batches that the gradient is the mean of


def surgical(trial: Trial) -> Trained:
    """Train the head for half of the steps, then with it the one block whose gradient is largest beside it.

    Which block that is, ten batches of the trial's rows tell (``transfer.relative_gradients``). The others
    stay as they are, normalisation included.

    Differs from the paper:
        the block of the largest relative gradient trains alone (the paper's Auto-RGN weighs the rates of all
        layers by it, and its surgical fine-tuning takes the best block of those that are tried).
    """
    net, steps, lr = trial.pretrained(), trial.problem.steps, trial.settings["lr"]
    curves = trial.train_head(net, steps=steps // 2, lr=HEAD_LR)
    stream = batches([trial.target], trial.problem.budget.batch, generator=trial.generator("surgical"))
    seen = [to(batch, trial.problem.on) for batch in islice(stream, LOOKS)]
    found = relative_gradients(net, Supervised(trial.target), seen)
    best = max(found, key=lambda d: found[d])
    depth = depths(net.backbone)
    freeze(net.backbone)
    for name, weight in net.backbone.named_parameters():
        weight.requires_grad_(depth[name] == best)
    curves |= trial.train(net, [trial.target], steps=steps - steps // 2, lr=lr, phase="one block")
    return Trained(net, curves)


SURGICAL = Strategy(
    name="surgical",
    run=surgical,
    summary="head first, then the one block whose gradient is largest",
    options=rates(1e-3, 3e-4, 3e-3),
    needs=needs.blocks,
    reused=START,
    frozen="all blocks but one",
    paper="[Lee et al. 2023](https://arxiv.org/abs/2210.11466)",
)
