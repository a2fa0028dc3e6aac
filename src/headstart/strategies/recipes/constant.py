"""The floor: one answer for every row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...models import Net
from ...models.backbones.plain import Blank
from ...tasks import Kind
from .. import needs
from ..strategy import Strategy
from ..trial import Trained, Trial


def constant(trial: Trial) -> Trained:
    """Answer every row by the shares of the classes, or the mean of the numbers, of the target's rows.

    A few rows of each class tell no common class from a rare one: where they were drawn from more labelled
    rows, the shares are those of all.
    """
    target, own = trial.target, trial.labelled().y
    y = own if target.prior is None else target.prior
    head = target.kind.placed(prior(target.kind, y, 1))
    return Trained(Net(Blank(), {target.name: head}).to(trial.problem.on), {})


CONSTANT = Strategy(
    name="constant",
    run=constant,
    summary="the commonest class, or the mean, for every row",
    needs=needs.tensors,
    builds=False,
)


def prior(kind: Kind, y: Tensor, features: int) -> nn.Linear:
    """Make a head that says the same of every row: what ``kind.constant`` does.

    Args:
        kind: of the answers.
        y: targets, some of which may be missing.
        features: that the head takes, and does not read.
    """
    head = nn.utils.skip_init(nn.Linear, features, kind.outputs)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(kind.constant(y.cpu()))
    return head
