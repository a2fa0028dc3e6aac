"""A rule for boxes that reuses nothing: what is lighter than the rest of an image, or darker."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import nn

from ...engine import score
from ...models import Net
from ...models.backbones.blobs import Blobs
from ...tasks.kinds.detection import TYPICAL
from ...tasks.kinds.placed import AtPlaces
from .. import needs
from ..strategy import Strategy
from ..trial import Trained, Trial

LEAST = (0.0, 0.001, 0.003, 0.01, 0.03)  # shares of an image that an object covers at least
SURE = 20.0  # logit that is taken from the classes where there is nothing
MOST = 100  # images that the rule is chosen by


def blobs(trial: Trial) -> Trained:
    """Box what hangs together at one side of each image's own level of grey, as the commonest class.

    Whether objects are light or dark and how large they are at least, the training rows choose.

    References:
        Otsu (IEEE SMC 1979) for the level, which needs no labels.
    """
    target, rows = trial.target, trial.labelled().to("cpu")
    rows = rows.take(torch.arange(min(MOST, len(rows))))
    backbone, many = Blobs(), len(target.kind.classes)
    head = nn.utils.skip_init(nn.Linear, backbone.width, target.kind.outputs)
    with torch.no_grad():
        head.weight.zero_()
        head.weight[:many, 0] = SURE
        head.weight[many:-1, 1:] = torch.eye(4)
        head.weight[many + 2 : -1, 0] = -math.log(TYPICAL)
        head.bias.zero_()
        head.bias[:many] = target.kind.constant(rows.y)[:many] - SURE
    net = Net(backbone, {target.name: AtPlaces(head)}).eval()
    best = -1.0
    for sign, least in product((1.0, -1.0), LEAST):
        now = Blobs()
        now.sign.fill_(sign)
        now.least.fill_(least)
        found = score(Net(now, dict(net.heads)), target, rows)
        if found > best:
            best = found
            backbone.load_state_dict(now.state_dict())
    return Trained(net.to(trial.problem.on), {})


RAW_BLOBS = Strategy(
    name="raw+blobs",
    run=blobs,
    summary="boxes around what is lighter than the rest, or darker",
    needs=needs.objects,
    builds=False,
)
