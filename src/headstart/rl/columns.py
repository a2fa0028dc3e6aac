"""A new net beside an old one, whose features it sees and which does not learn any more."""

from __future__ import annotations

import torch
from torch import nn

from ..models import Net, mlp
from ..models.fresh import copied
from .stack import ELEMENTWISE, layers


def beside(old: Net, new: Net) -> tuple[Net, Net]:
    r"""Put two nets of one shape side by side; the new one's layers read both.

    .. math:: h_l = f\left(W_l h_{l-1} + U_l h^\text{old}_{l-1}\right)

    Both columns are one wide net, whose block from the new column to the old one is 0 and stays so.
    :math:`U` is 0 at first, so the net begins as the new one.

    Args:
        old: with one head.
        new: of the same shape.

    Returns:
        the wide net, and a net of its shape with ones where its weights learn and zeros where they stay.

    Differs from the paper:
        features of the old column come in as they are, without a layer of their own between.

    Example:
        >>> old, new = (Net(mlp(2, hidden=[3]), {"act": nn.Linear(3, 2)}) for _ in range(2))
        >>> wide, moves = beside(old, new)
        >>> x = torch.randn(4, 2)
        >>> torch.allclose(wide(x, "act"), new(x, "act"), atol=1e-6)
        True

    References:
        Rusu et al. (2016), equation 1, https://arxiv.org/abs/1606.04671
    """
    pairs = list(zip(layers(old), layers(new), strict=True))
    linear = [(a, b) for a, b in pairs if isinstance(a, nn.Linear) and isinstance(b, nn.Linear)]
    between = {type(a) for a, _ in pairs if type(a) in ELEMENTWISE}
    name = "tanh" if nn.Tanh in between else "relu"
    hidden = [a.out_features + b.out_features for a, b in linear[:-1]]
    (task,) = new.heads
    wide = Net(
        mlp(linear[0][0].in_features, hidden=hidden, activation=name),
        {task: nn.Linear(hidden[-1], linear[-1][1].out_features)},
    )
    moves = copied(wide)
    chains = [[one for one in layers(net) if isinstance(one, nn.Linear)] for net in (wide, moves)]
    with torch.no_grad():
        for at, ((a, b), whole, free) in enumerate(zip(linear, *chains, strict=True)):
            first, last = at == 0, at == len(linear) - 1
            rows, columns = 0 if last else a.out_features, a.in_features
            whole.weight.zero_(), whole.bias.zero_(), free.weight.fill_(1.0), free.bias.fill_(1.0)
            if not last:
                whole.weight[:rows, :columns], whole.bias[:rows] = a.weight, a.bias
                free.weight[:rows], free.bias[:rows] = 0.0, 0.0
            whole.weight[rows:, 0 if first else columns :], whole.bias[rows:] = b.weight, b.bias
    return wide, moves
