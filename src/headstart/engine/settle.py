"""The statistics of normalisation layers, taken anew for the weights that training ended with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..models import Net, device_of
from ..seams import Objective
from . import devices
from .devices import computing, to

BATCHES = 32  # that the statistics are the mean of
FOLLOWS = 0.1  # PyTorch's own default of the momentum


def settle(
    net: Net,
    stream: Iterable[Any],
    objective: Objective,
    *,
    progress: float = 0.0,
    precision: str = "float32",
) -> None:
    """Take the running statistics of the batch normalisation that trained anew, for the weights it has now.

    Running statistics trail the weights by about ``1 / momentum`` steps. At the momentum of 0.01 that some
    networks come with, 200 steps leave them near where they began, and the net answers one class for every
    row. Here they become the plain mean over some batches, whatever the momentum. Layers in eval mode, as
    frozen ones are, and layers that no row passes keep theirs.

    Args:
        net: in the mode that it was trained in.
        stream: batches like those that it was trained on, of which 32 are taken.
        objective: what sends the rows of a batch through the net.
        progress: what the objective is told.
        precision: as for ``fit``.

    Example:
        >>> net = Net(nn.BatchNorm1d(1, momentum=0.01), {"a": nn.Linear(1, 1)})
        >>> batch = torch.tensor([[4.0], [6.0]])
        >>> settle(net, [batch], lambda net, x, progress: {"a": net(x, "a").mean()})
        >>> net.backbone.running_mean.item()
        5.0

    References:
        Ioffe & Szegedy (ICML 2015), algorithm 2, https://arxiv.org/abs/1502.03167
    """
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.training and _counts(m)]
    if not norms:
        return
    before = [({n: b.clone() for n, b in norm.named_buffers()}, norm.momentum) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
    device = device_of(net)
    try:
        with torch.no_grad(), computing(net, devices.precision(precision, device)):
            for batch in islice(stream, BATCHES):
                objective(net, to(batch, device), progress)
    finally:
        for norm, (buffers, momentum) in zip(norms, before, strict=True):
            norm.momentum = momentum
            if not norm.num_batches_tracked:
                _write(norm, buffers)


@contextmanager
def following(net: Net) -> Iterator[None]:
    """Let running statistics follow the weights within ten steps or so for a while, at whatever momentum.

    What is asked of the net while it trains, in eval mode, is then answered by statistics of its weights.
    """
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = max(norm.momentum or 0.0, FOLLOWS)  # ``None`` is the mean of all steps
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _counts(norm: _BatchNorm) -> bool:
    return norm.track_running_stats and norm.running_mean is not None


def _write(norm: nn.Module, buffers: dict[str, Tensor]) -> None:
    for name, buffer in norm.named_buffers():
        buffer.copy_(buffers[name])
