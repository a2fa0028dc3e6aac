"""Vectors of users, items and other things that have numbers, for tables of who did what with what.

Shapes: ``B`` rows, ``D`` numbers of a row, ``I`` of which are ids, ``E`` numbers per vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import final

import torch
from torch import Tensor, nn

from ...errors import wrong
from ..net import Backbone

SPREAD = 0.1  # of new vectors: products of two are small beside a rating


@final
class _Factors(Backbone):
    use = "factors"

    def __init__(
        self, features: int, ids: Mapping[str, int], width: int, hidden: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        at = {int(place): count for place, count in ids.items()}
        sizes = {"features": features, "ids": {str(k): n for k, n in at.items()}, "width": width}
        if (
            not at
            or min(features, width, *at.values(), *hidden) < 1
            or not 0 <= min(at) <= max(at) < features
        ):
            expected = "sizes of at least 1, and `ids` at places of a row, such as {0: 600, 1: 9000}"
            hint = 'name them when the table is read: `ids = ["user", "item"]`'
            raise wrong("sizes of `factors`", expected=expected, found=sizes, hint=hint)
        self.settings = sizes | {"hidden": list(hidden), "dropout": dropout}
        self.vectors = nn.ModuleList(map(partial(_vectors, width), at.values()))
        self.at, self.others = list(at), [k for k in range(features) if k not in at]
        self.rest = nn.Linear(len(self.others), width) if self.others else None
        parts = len(at) + bool(self.others)
        joined = width * (parts + parts * (parts - 1) // 2)
        layers: list[nn.Module] = []
        for size in hidden:
            layers += [nn.Linear(joined, size), nn.ReLU(), nn.Dropout(dropout)]
            joined = size
        self.layers = nn.Sequential(*layers)
        self.width = joined

    def forward(self, x: Tensor) -> Tensor:
        parts = [table(x[:, k].long()) for k, table in zip(self.at, self.vectors, strict=True)]
        if self.rest is not None:
            parts.append(self.rest(x[:, self.others]))
        products = [a * b for a, b in combinations(parts, 2)]
        return self.layers(torch.cat([*parts, *products], 1))


def _vectors(width: int, count: int) -> nn.Embedding:
    table = nn.Embedding(count + 1, width, padding_idx=0)
    with torch.no_grad():
        table.weight[1:] *= SPREAD
    return table


def factors(
    features: int,
    *,
    ids: Mapping[str, int],
    width: int = 16,
    hidden: Sequence[int] = (32,),
    dropout: float = 0.0,
) -> Backbone:
    r"""Build a vector for each user, item or other thing, and layers over them and their products.

    .. math:: h = \mathrm{MLP}([v_u, v_i, w, v_u \odot v_i, v_u \odot w, v_i \odot w]), \quad w = W x + b

    where ``x`` are the other numbers of a row, such as the genres of a film. Number 0 is a thing that
    training did not have: its vector is 0 and stays so, and the others have to do. Weights are drawn from
    the global random state.

    Args:
        features: numbers per row, ids among them.
        ids: at which places of a row ids stand, and how many there are of each, as a table that was read with
            ``ids`` says it.
        width: ``E``.
        hidden: sizes of the layers; none leaves vectors and products as they are, over which a head is a
            factorisation with biases.
        dropout: share of hidden units left out in training, in [0, 1).

    Shape:
        ``x (B, D)`` with whole numbers from 0 to their count at ``ids``; returns ``(B, hidden[-1])``.

    Raises:
        ValueError: if there are no ids, one stands outside of a row, or a size is below 1.

    *Differs from the paper:* one table of vectors serves both the products and the layers, and there may be
    more than two kinds of things, and numbers beside them.

    Example:
        >>> net = factors(3, ids={"0": 5, "1": 7})
        >>> net(torch.tensor([[1.0, 7.0, 0.5], [0.0, 2.0, 0.5]])).shape
        torch.Size([2, 32])

    References:
        He et al. (WWW 2017), section 3.4, https://arxiv.org/abs/1708.05031
    """
    return _Factors(features, ids, width, hidden, dropout)
