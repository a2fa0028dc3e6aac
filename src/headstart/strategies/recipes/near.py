"""Fine-tuning with another loss: a penalty on features, classes that count alike, or the source's head kept.

References:
    Li et al. (ICLR 2019), https://arxiv.org/abs/1901.09229
    Chen et al. (NeurIPS 2019), see ``transfer.BSS``
"""

from __future__ import annotations

from dataclasses import replace

from ...engine import predict
from ...models import Net
from ...models.fresh import copied
from ...seams import Objective
from ...tasks import Task
from ...transfer import BSS, DELTA, CoTuning, LogitAdjusted, Plus, Supervised, relation
from .. import needs
from ..situation import Situation
from ..strategy import Strategy, rates
from ..trial import Curves, Trained, Trial, rotated
from .finetune import START, head_then_all


def delta(trial: Trial) -> Trained:
    """Fine-tune, and pay for features that differ from those of the pretrained net (DELTA)."""
    net = trial.pretrained()
    return Trained(net, _near(trial, net, DELTA(net, weight=trial.settings["weight"])))


def bss(trial: Trial) -> Trained:
    """Fine-tune, and shrink the smallest singular value of each batch's features (BSS)."""
    net = trial.pretrained()
    return Trained(net, _near(trial, net, BSS(trial.settings["weight"])))


def adjusted(trial: Trial) -> Trained:
    """Fine-tune with the shares of the classes added to the logits, and answer without them."""
    net, plain = trial.pretrained(), replace(trial.target, weights=None)  # or classes would be evened twice
    objective = LogitAdjusted(plain, trial.settings["strength"])
    return Trained(net, head_then_all(trial, net, objective, lr=1e-3))


def cotuning(trial: Trial) -> Trained:
    """Fine-tune with the head of the source that has most classes, taught by those of the target."""
    start, _ = trial.starts.get(trial.called("pretrained"), trial.pretrain)
    source = max(_classes(trial.problem), key=lambda task: task.kind.outputs).name
    rows, name = trial.labelled(), trial.target.name
    said = predict(start, source, rows.x, progress=False).softmax(1)
    related = relation(said.cpu(), trial.target.kind.numbers(rows.y.cpu()), len(trial.target.kind.classes))
    net = trial.pretrained()
    net.heads[source] = copied(start.heads[source])
    curves = head_then_all(
        trial, net, CoTuning(trial.target, source, related, trial.settings["weight"]), lr=1e-3
    )
    return Trained(Net(net.backbone, {name: net.heads[name]}), curves)


def _classes(situation: Situation) -> list[Task]:
    """List what a backbone is pretrained on that has a logit for each class."""
    return [task for task in rotated(situation) if task.kind.extensible and task.kind.exclusive]


def _known_source(situation: Situation) -> str:
    if reason := needs.one_class(situation) or needs.tensors(situation):
        return reason
    if situation.comes_pretrained():
        return "the backbone comes without the head of what it was pretrained on"
    return "" if _classes(situation) else "there is no source with classes to pretrain the backbone on"


def _adjustable(situation: Situation) -> str:
    return needs.one_class(situation) or needs.features(situation)


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
LOGIT_ADJUSTED = Strategy(
    name="logit-adjusted",
    run=adjusted,
    summary="fine-tune for classes that count alike, however rare",
    options=rates(1.0, 0.5, 2.0, name="strength"),
    needs=_adjustable,
    reused=START,
    frozen="normalisation; the rest at first",
    paper="[Menon et al. 2021](https://arxiv.org/abs/2007.07314)",
)
COTUNING = Strategy(
    name="cotuning",
    run=cotuning,
    summary="fine-tune beside the source's head, by how its classes relate",
    options=rates(1.0, 0.3, 3.0, name="weight"),
    needs=_known_source,
    reused="the backbone and the head of the source",
    frozen="normalisation; the rest at first",
    paper="[You et al. 2020](https://papers.nips.cc/paper/2020/hash/c8067ad1937f728f51288b3eb986afaa-Abstract.html)",
)
