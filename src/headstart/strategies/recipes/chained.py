"""Tags that are read off together: a linear chain on frozen features at the best block.

References:
    Lafferty, McCallum & Pereira (ICML 2001), https://dl.acm.org/doi/10.5555/645530.655813
"""

from __future__ import annotations

import torch
from torch import nn

from ...engine import seeded
from ...models import Chain, Net, freeze
from .. import needs
from ..strategy import Strategy
from ..trial import Trained, Trial
from .layers import at_layer


def layer_chain(trial: Trial) -> Trained:
    """Learn which tags follow which, on frozen features at one block.

    The block and a regression for each word by itself are those of ``features@layer+logreg``; the scores of
    the chain begin as that regression, and all of it trains by steps. No ``I-`` stands where none may.

    Differs from the paper:
        scores are linear in features of a pretrained encoder, and AdamW takes the steps.
    """
    target, found = trial.target, at_layer(trial)
    each = next(part for part in found.net.heads[target.name].modules() if isinstance(part, nn.Linear))
    with seeded(trial.seed):
        head = Chain(each.in_features, target.kind.classes).to(each.weight.device)
    with torch.no_grad():
        head.scores.weight.copy_(each.weight)
        head.scores.bias.copy_(each.bias)
    net = Net(found.net.backbone, {target.name: head})
    curves = trial.train_head(net, steps=trial.problem.steps, lr=trial.settings["lr"], phase="chain")
    freeze(net.backbone)
    return Trained(net, curves, found.told)


LAYER_CHAIN = Strategy(
    name="features@layer+chain",
    run=layer_chain,
    summary="tags read off together, on frozen features at the best block",
    options=[{"lr": lr, "C": 10.0} for lr in (1e-2, 3e-3, 3e-2)],
    needs=needs.tags,
    reused="the lower blocks of the pretrained backbone, as a fixed extractor",
    frozen="backbone",
    paper="[Lafferty et al. 2001](https://dl.acm.org/doi/10.5555/645530.655813)",
)
