"""Fine-tuning with a penalty on the features: that they stay as they were, or let go of what transfers least.

References:
    Li et al. (ICLR 2019), https://arxiv.org/abs/1901.09229
    Chen et al. (NeurIPS 2019), see ``transfer.BSS``
"""

from __future__ import annotations

from ...models import Net
from ...seams import Objective
from ...transfer import BSS, DELTA, Plus, Supervised
from .. import needs
from ..strategy import Strategy, rates
from ..trial import Curves, Trained, Trial
from .finetune import START, head_then_all


def delta(trial: Trial) -> Trained:
    """Fine-tune, and pay for features that differ from those of the pretrained net (DELTA)."""
    net = trial.pretrained()
    return Trained(net, _near(trial, net, DELTA(net, weight=trial.settings["weight"])))


def bss(trial: Trial) -> Trained:
    """Fine-tune, and shrink the smallest singular value of each batch's features (BSS)."""
    net = trial.pretrained()
    return Trained(net, _near(trial, net, BSS(trial.settings["weight"])))


def _near(trial: Trial, net: Net, penalty: Objective) -> Curves:
    """Do what ``finetune`` does, with a penalty."""
    return head_then_all(trial, net, Plus(Supervised(trial.target), penalty), lr=1e-3)


DELTA_STRATEGY = Strategy(
    name="delta",
    run=delta,
    summary="fine-tune near what the pretrained net says at each block",
    options=rates(1.0, 0.1, 10.0, name="weight"),
    needs=needs.start,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Li et al. 2019](https://arxiv.org/abs/1901.09229)",
)
BSS_STRATEGY = Strategy(
    name="bss",
    run=bss,
    summary="fine-tune, and let go of the features that transfer least",
    options=rates(1e-3, 1e-4, 1e-2, name="weight"),
    needs=needs.start,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Chen et al. 2019](https://papers.nips.cc/paper/8466-catastrophic-forgetting-meets-negative-"
    "transfer-batch-spectral-shrinkage-for-safe-transfer-learning)",
)
