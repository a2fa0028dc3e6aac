"""How far each user and each item lies above the rest: what a recommender has to beat.

References:
    Koren, Bell & Volinsky (IEEE Computer 2009), https://doi.org/10.1109/MC.2009.263
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...engine import seeded
from ...models import Net, backbone
from .. import needs
from ..situation import facts_of
from ..strategy import Strategy, rates
from ..trial import Trained, Trial
from .plain import LOGISTIC, Rows

SWEEPS = 10


def raw_means(trial: Trial) -> Trained:
    r"""Fit a number for each user and each item, pulled to 0 where it has few rows.

    .. math:: \min_b \sum_n (y_n - \bar y - \sum_k b_{k, x_{nk}})^2 + \lambda \sum_k \lVert b_k \rVert^2

    One kind of thing after the other, ten times over. Classes are then told by a logistic regression on
    these numbers. A thing that training did not have counts as the mean one.
    """
    target, rows = trial.target, trial.labelled().to("cpu")
    kind, at = target.kind, list(map(int, facts_of(target)["ids"]))
    x = rows.x
    assert isinstance(x, Tensor)  # `needs` asked for ids
    y = rows.y.double().flatten()
    with seeded(trial.seed):
        settings = {"features": x.shape[1], "ids": facts_of(target)["ids"], "width": 1, "hidden": []}
        net = backbone("factors", settings=settings).eval()
    effects = fitted(x[:, at].long(), y - y.mean(), trial.settings["pull"])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        for table, effect in zip(tables(net), effects, strict=True):
            table.weight[: len(effect), 0] = effect.float()
    if kind.classes:
        z = torch.cat([net(some) for some in x.split(1 << 16)]).detach().double().numpy()
        head = LOGISTIC.fit(trial, Rows(net, z, kind.numbers(rows.y).numpy(), None))
    else:
        head = nn.utils.skip_init(nn.Linear, net.width, 1)
        with torch.no_grad():
            head.weight.zero_()
            head.weight[0, : len(at)] = 1
            head.bias.fill_(float(y.mean()))
    return Trained(Net(net, {target.name: head}).to(trial.problem.on), {})


def tables(net: nn.Module) -> list[nn.Embedding]:
    """List the vectors of each kind of thing."""
    return [part for part in net.modules() if isinstance(part, nn.Embedding)]


def fitted(ids: Tensor, y: Tensor, pull: float) -> Sequence[Tensor]:
    """Fit the numbers of each column of ids ``(N, K)`` to answers around 0, ``(N,)``; of number 0 it is 0.

    Example:
        >>> ids = torch.tensor([[1, 1], [1, 2], [2, 1], [2, 2]])
        >>> user, film = fitted(ids, torch.tensor([2.0, 0, 0, -2]), 0.0)
        >>> user.tolist(), film.tolist()
        ([0.0, 1.0, -1.0], [0.0, 1.0, -1.0])
    """
    columns = list(ids.T)
    counts = [torch.bincount(column).double() for column in columns]
    effects = [torch.zeros_like(count) for count in counts]
    for _ in range(SWEEPS):
        for place, column in enumerate(columns):
            others = sum(e[c] for k, (e, c) in enumerate(zip(effects, columns, strict=True)) if k != place)
            sums = torch.zeros_like(counts[place]).index_add_(0, column, (y - others).double())
            effects[place] = sums / (counts[place] + pull).clamp(min=1e-9)
            effects[place][0] = 0
    return effects


RAW_MEANS = Strategy(
    name="raw+means",
    run=raw_means,
    summary="how far each user and item lies above the rest",
    options=rates(10.0, 3.0, 30.0, name="pull"),
    needs=needs.ids,
    builds=False,
)
