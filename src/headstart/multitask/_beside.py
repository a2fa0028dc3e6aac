"""Tasks weighed among themselves, beside losses that are no task's."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..models import Net
from ..seams import Combine


def beside(combine: Combine) -> _Beside:
    """Build a combine that gives another one the tasks' losses alone, and adds the gradients of the others.

    A loss is a task's where the net has a head of its name. What a pattern of sharing has of its own
    (``distance``, ``orthogonality``, ``routing``) comes weighed already, and is none of the tasks that
    ``pcgrad`` or ``Uncertainty`` weigh against one another.

    Args:
        combine: such as ``backward(pcgrad)``.

    Shape:
        the combine takes ``losses``, scalars by name, and the net.

    Example:
        >>> from headstart.multitask import backward, pcgrad
        >>> net = Net(nn.Linear(1, 1, bias=False), {"a": nn.Linear(1, 1)})
        >>> weight = net.backbone.weight
        >>> losses = {"a": net(torch.ones(2, 1), "a").mean(), "decay": weight.square().sum()}
        >>> beside(backward(pcgrad))(losses, net)
        >>> bool(weight.grad == 2 * weight + net.heads["a"].weight)
        True

    References:
        Kurin et al. (NeurIPS 2022), section 3: regularisers stand beside the tasks,
        https://arxiv.org/abs/2201.04122
    """
    return _Beside(combine)


class _Beside(nn.Module):
    def __init__(self, combine: Combine) -> None:
        super().__init__()
        self.combine = combine

    def forward(self, losses: Mapping[str, Tensor], net: Net) -> None:
        """Fill ``.grad``."""
        others = [loss for name, loss in losses.items() if name not in net.heads and loss.requires_grad]
        if others:
            torch.stack(others).sum().backward(retain_graph=True)
        self.combine({name: loss for name, loss in losses.items() if name in net.heads}, net)
