"""Training under several processes: the gradients are averaged, nothing else is shared."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn


def several() -> bool:
    """Tell whether this is one of several processes of ``torch.distributed``.

    Example:
        >>> several()
        False
    """
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def synchronize(*modules: nn.Module) -> None:
    r"""Average ``.grad`` over all processes of ``torch.distributed``; without it, do nothing.

    .. math:: g \leftarrow \frac{1}{W} \sum_{w=1}^{W} g_w

    A parameter without a gradient in every process stays without one; in some, it counts as zero there.

    Args:
        modules: whose parameters; the same in every process.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> synchronize(layer)
    """
    if not several():
        return
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    if not parameters:
        return
    present = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    dist.all_reduce(present)
    moved = [p for p, count in zip(parameters, present.tolist(), strict=True) if count]
    for dtype in dict.fromkeys(p.dtype for p in moved):
        part = [p for p in moved if p.dtype == dtype]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in part])
        dist.all_reduce(flat)
        for p, gradient in zip(
            part, (flat / dist.get_world_size()).split([p.numel() for p in part]), strict=True
        ):
            p.grad = gradient.view_as(p)
