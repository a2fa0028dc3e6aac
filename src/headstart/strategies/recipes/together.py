"""Several adapted learners that answer together: a choice among them that goes wrong costs less.

Without a label of the target nobody knows which way is right. Ways that err in different rows outvote one
another, and those that have lost the source are left out.

References:
    Lakshminarayanan, Pritzel & Blundell (NeurIPS 2017), section 2.4, https://arxiv.org/abs/1612.01474;
    of ways to adapt: Dinu et al. (ICLR 2023), https://arxiv.org/abs/2305.01281
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...domains import CMD, MMD
from ...engine import predict
from ...maths import random
from ...measure import source_risk
from ...models import Net
from ...models.backbones.plain import Raw
from ...models.heads import Average, Denoised
from ...tasks import Labelled, Task
from .. import needs
from ..starts import Curves
from ..strategy import Strategy
from ..trial import Trained, Trial
from .align import BARE, match
from .denoising import denoise, of_both, then
from .plain import LOGISTIC
from .pooled import of_sources

HELD = 0.2  # of the source's labelled rows, which say how sure each member may be
LOSES = 0.04  # accuracy there, behind the best, from which on a member is left out
TEMPERATURES = torch.logspace(1, -1, 41).tolist()

NOISE = 0.7
Run = Callable[[Trial, Denoised], Trained]


def mmd(trial: Trial, first: Denoised) -> Trained:
    """Lower the discrepancy."""
    return match(trial, MMD)


def cmd(trial: Trial, first: Denoised) -> Trained:
    """Lower the distance of the moments."""
    return match(trial, CMD)


def denoised_mmd(trial: Trial, first: Denoised) -> Trained:
    """Lower the discrepancy on denoised rows."""
    return then(trial, partial(match, method=MMD), first)


def denoised_logreg(trial: Trial, first: Denoised) -> Trained:
    """Fit a logistic regression on denoised rows."""
    return denoise(trial, LOGISTIC, first)


MEMBERS: tuple[tuple[Run, Mapping[str, Any]], ...] = (
    (mmd, {"weight": 0.3}),
    (cmd, {"weight": 0.3}),
    (denoised_mmd, {"weight": 0.3}),
    (denoised_logreg, {"C": 0.01}),
)


def together(trial: Trial) -> Trained:
    """Train each member on four fifths of the source's labels; average those that kept the source.

    The other fifth says how sure each may be (one temperature), so that none is louder than it is right.
    """
    kind, name = trial.target.kind, trial.target.name
    train, held = divided(of_sources(trial), trial.seed)
    posed = trial.problem.with_rows(sources=[Task("the sources", kind, train)])
    y = kind.numbers(held.y)
    first = of_both(replace(trial, settings={"noise": NOISE}))  # without labels, so of all rows
    curves: Curves = {}
    nets, right = [], []
    for number, (run, settings) in enumerate(MEMBERS):
        trained = run(replace(trial, problem=posed, settings=settings), first)
        outputs = predict(trained.net, name, held.x, progress=False).cpu()
        p, t = cooled(kind.probabilities, outputs, y)
        nets.append((trained.net, t))
        right.append(float((p.argmax(1) == y).double().mean()))
        curves |= {f"{phase} {number}": values for phase, values in trained.curves.items()}
    kept = [one for one, score in zip(nets, right, strict=True) if score >= max(right) - LOSES]
    shape = tuple(held.x.shape[1:])  # type: ignore[union-attr]
    head = Average(as_head(net, name, t) for net, t in kept)
    return Trained(Net(Raw(shape), {name: head}).to(trial.problem.on), curves)


def divided(rows: Labelled, seed: int) -> tuple[Labelled, Labelled]:
    """Set a fifth of the source's rows apart."""
    order = torch.randperm(len(rows), generator=random.generator("members", seed))
    count = max(1, int(HELD * len(rows)))
    return rows.take(order[count:].sort().values), rows.take(order[:count].sort().values)


def cooled(
    probabilities: Callable[[Tensor], Tensor | None], outputs: Tensor, y: Tensor
) -> tuple[Tensor, float]:
    """Give the probabilities and the temperature that lower the loss of held-out rows most."""
    found = [probabilities(outputs / t) for t in TEMPERATURES]
    risks = [source_risk(p, y) for p in found if p is not None]
    at = max(range(len(risks)), key=risks.__getitem__)
    best = found[at]
    assert best is not None  # `needs` asked for classes
    return best, TEMPERATURES[at]


def as_head(net: Net, name: str, t: float) -> nn.Module:
    """Write a net as a head of the rows themselves, its last layer divided by a temperature."""
    head = net.heads[name]
    if not isinstance(net.backbone, Raw):
        head = nn.Sequential(*net.backbone.chain()[1:], head)  # type: ignore[operator]
    last = head
    while isinstance(last, nn.Sequential):
        last = last[-1]
    with torch.no_grad():
        for value in last.parameters():
            value.div_(t)
    return head.cpu()


TOGETHER = Strategy(
    name="adapted+mean",
    run=together,
    summary="mmd, cmd, msda+mmd and msda+logreg together, without those that lose the source",
    needs=needs.perceptron,
    learns="unlabelled",
    reused=BARE,
    paper="[Dinu et al. 2023](https://arxiv.org/abs/2305.01281)",
    aligns=True,
)
