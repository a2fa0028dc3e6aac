"""Copies of modules, and new weights for them, however they keep their weights."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

M = TypeVar("M", bound=nn.Module)


def copied(module: M) -> M:
    """Copy a module with all that it holds.

    Tensors that a module keeps of its last call with their graph, as ``torch.nn.utils.weight_norm`` does,
    are copied without it. So are scripted modules, and those that wait for their first row.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> layer.kept = layer.weight * 2
        >>> copied(layer).kept.requires_grad
        False
    """
    kept = (value for part in module.modules() for value in vars(part).values())
    graphs = [value for value in kept if isinstance(value, Tensor) and not value.is_leaf]
    memo: dict[int, object] = {id(value): value.detach().clone() for value in graphs}
    waiting = [value for value in module.buffers() if isinstance(value, UninitializedBuffer)]
    for value in waiting:
        memo[id(value)] = UninitializedBuffer(device=value.device, dtype=value.dtype)  # type: ignore[call-arg]
    with torch.no_grad():  # else a scripted module's copy has the weights with their graph
        new = copy.deepcopy(module, memo)
    for old, made in zip(module.parameters(), new.parameters(), strict=True):
        if made.requires_grad != old.requires_grad:
            made.requires_grad_(old.requires_grad)
    return new


def reinitialise(module: M) -> M:
    """Draw new weights, from the global random state. Returns the module.

    Layers draw theirs by ``reset_parameters``. A weight that this leaves as it was (one that is a parameter
    by itself, or that another is computed from, as with ``weight_norm``) is drawn from the normal
    distribution with its own mean and spread: one that is the same everywhere stays. Where some weights
    train, those that do not and that no layer draws stay as well, such as fixed codes of positions.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> bool((reinitialise(layer).weight == 0).any())
        False
    """
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    for part in module.modules():
        reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
        if reset is not None:
            reset()
    trains = any(value.requires_grad for value in module.parameters())
    for name, value in module.named_parameters():
        if torch.equal(value.detach(), before[name]) and (value.requires_grad or not trains):
            _draw(value)
    return module


@torch.no_grad()
def _draw(value: Tensor) -> None:
    spread = value.std(correction=0) if value.is_floating_point() else value.new_zeros(())
    if spread > 0:
        value.copy_(torch.randn_like(value) * spread + value.mean())
