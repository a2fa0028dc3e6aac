"""Which part of a pretrained net to tune: where the first gradient is large beside the weights.

Shapes: ``B`` rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ..models import Net, depths
from ..seams import Objective


def relative_gradients(net: Net, objective: Objective, batches: Iterable[Any]) -> dict[int, float]:
    r"""Tell the gradient of each block of a backbone, relative to its weights.

    A block whose features do not suit the new rows has a gradient that is large beside its weights: tuning
    this one alone is often better than tuning all (surgical fine-tuning).

    .. math:: RGN(\theta_i) = \frac{|\nabla_{\theta_i} L|}{|\theta_i|}

    The net is asked in eval mode, with all of its backbone differentiable for the while, and is left as it
    was, gradients, modes and running statistics included.

    Args:
        net: with a trained head; of a random one the gradients say nothing.
        objective: whose losses are summed, at ``progress`` 0.
        batches: what the objective takes; the gradient is the mean over them.

    Shape:
        any batches; returns a number from 0 for each block of the backbone, by its place from the top: 1 is
        the last block, 0 what stands behind it (``headstart.models.depths``).

    Raises:
        ValueError: if the backbone has fewer than two blocks.

    Differs from the paper:
        numbers are of blocks, not of single layers, and are taken once, before tuning.

    Example:
        >>> from torch import nn
        >>> net = Net(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), {"a": nn.Linear(2, 1)})
        >>> loss = lambda net, x, progress: {"a": net(x, "a").square().mean()}
        >>> sorted(relative_gradients(net, loss, [torch.ones(3, 2)]))
        [1, 2]

    References:
        Lee et al. (ICLR 2023), section 4 (Auto-RGN), https://arxiv.org/abs/2210.11466
    """
    depth, weights = depths(net.backbone), dict(net.backbone.named_parameters())
    modes = {part: part.training for part in net.modules()}
    moving = {name: weight.requires_grad for name, weight in weights.items()}
    net.eval()
    count, sums = 0, {name: torch.zeros_like(weight) for name, weight in weights.items()}
    try:
        for weight in weights.values():
            weight.requires_grad_(True)
        for batch in batches:
            count += 1
            loss = torch.stack(list(objective(net, batch, 0.0).values())).sum()
            gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
            for total, gradient in zip(sums.values(), gradients, strict=True):
                if gradient is not None:
                    total += gradient
    finally:
        for part, mode in modes.items():
            part.training = mode
        for name, weight in weights.items():
            weight.requires_grad_(moving[name])
    places = sorted(set(depth.values()))
    return {d: _norm(sums, depth, d) / max(1, count) / max(_norm(weights, depth, d), 1e-12) for d in places}


def _norm(values: Mapping[str, torch.Tensor], depth: Mapping[str, int], d: int) -> float:
    """Give the norm of all tensors of one block."""
    squares = [value.detach().double().square().sum() for name, value in values.items() if depth[name] == d]
    return float(torch.stack(squares).sum().sqrt())
