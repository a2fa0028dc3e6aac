"""Whether the target's rows lie among the source's where a net's last layer reads them.

Shapes: ``B`` rows, ``D`` features.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from ..engine import predict
from ..measure import outside
from ..measure.rows import some
from ..models import Net
from ..models.heads import Average
from ..tasks import Labelled, X
from ..tasks.nouns import rows, take

MOST = 600  # rows that are looked at: of those learned from, of those held out, and of the target's
WIDE = 20_000  # numbers, above which rows are not held against one another


def last(head: nn.Module) -> list[nn.Module]:
    """List the last layers of a head: one, or that of each of several that answer together.

    Example:
        >>> last(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
        [Linear(in_features=3, out_features=2, bias=True)]
    """
    if isinstance(head, Average):
        return [layer for part in head.parts for layer in last(part)]
    return last(head[-1]) if isinstance(head, nn.Sequential) and len(head) else [head]


def reads(net: Net, name: str, x: X) -> list[Tensor]:
    """Give what each last layer of a task's head reads of rows, ``(B, D)``."""
    layers = last(net.head(name))
    seen: list[list[Tensor]] = [[] for _ in layers]

    def keep(at: int, layer: nn.Module, given: tuple[Tensor, ...], said: Tensor) -> None:
        seen[at].append(given[0].detach().flatten(1).cpu())

    hooks = [layer.register_forward_hook(partial(keep, i)) for i, layer in enumerate(layers)]
    try:
        predict(net, name, x, progress=False)
    finally:
        for hook in hooks:
            hook.remove()
    return [torch.cat(parts) for parts in seen]


def beyond_of(before: Net, net: Net, name: str, train: Labelled, held: Labelled, bare: X) -> float:
    """Tell which part of the target's rows lie outside of the source's, where the last layer reads them.

    Args:
        before: the net that reads the source's rows, which may be the same one.
        net: that reads the target's.
        name: of the target.
        train: source rows that were learned from.
        held: source rows that were not.
        bare: the target's rows.

    Returns:
        in [0, 1]; the mean over heads that answer together.
    """
    sides = [a_few(side) for side in (train.x, held.x, bare)]
    there = [reads(which, name, x) for which, x in zip((before, before, net), sides, strict=True)]
    parts = [beyond(*layers) for layers in zip(*there, strict=True)]
    return sum(parts) / len(parts)


def beyond(source: Tensor, held: Tensor, target: Tensor) -> float:
    """Tell which part of the target's rows lie outside, of at most so many; 0 where rows are too wide."""
    if source.shape[1] > WIDE:
        return 0.0
    return outside(*(z[some(z, MOST, "rows inside")] for z in (source, held, target)))


def a_few(x: X) -> X:
    """Take at most so many rows, drawn at random."""
    return take(x, some(torch.empty(rows(x), 0), MOST, "rows inside"))
