"""Features at each place of an image: the maps of a backbone's stages, side by side.

Shapes: ``B`` images, ``C`` channels, ``H``, ``W`` cells of a map, ``L`` tokens.

References:
    Long, Shelhamer & Darrell (CVPR 2015), https://arxiv.org/abs/1411.4038: a linear layer on maps side by
        side is the sum of one on each, as in FCN-16s.
    Hariharan et al. (CVPR 2015), https://arxiv.org/abs/1411.5752
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cuts import WHOLE, cuts, first_tensor, within

FINEST = 16  # pixels of a side of the image for each cell, at least: finer maps are large and know little
CELLS = 16  # of a side, that are not too fine for any image


def whole_image(x: Tensor, size: Sequence[int], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Bring colour images in [0, 1] to a size, nothing cropped, and standardise their channels."""
    if tuple(x.shape[2:]) != tuple(size):
        x = F.interpolate(x, tuple(size), mode="bilinear", align_corners=False, antialias=True)
    return normalised(x, mean, std)


def normalised(x: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Standardise channels as torchvision does, but without a look at values, so that it can be traced.

    Example:
        >>> normalised(torch.ones(1, 2, 1, 1), [0.5, 1.0], [0.25, 0.5]).flatten().tolist()
        [2.0, 0.0]
    """
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]


def stage_maps(model: nn.Module, x: Tensor, finest: int = FINEST) -> Tensor:
    """Run a model, and put the last map of each size side by side at the size of the largest.

    Maps with more than a cell for ``finest`` pixels a side, and more than 16 cells, are left out, unless all
    are.

    Shape:
        images ``(B, 3, H, W)`` to ``(B, h, w, D)``.

    Raises:
        ValueError: if no block gives a map.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, 16, 1), nn.ReLU(), nn.Conv2d(4, 8, 3, 2, 1))
        >>> stage_maps(net, torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 4, 4, 12])
    """
    found: list[Tensor] = []
    inner = model.get_submodule(within(model))
    blocks = [inner.get_submodule(name) for name in cuts(model) if name != WHOLE]
    handles = [block.register_forward_hook(partial(_keep, found)) for block in blocks]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    last = {value.shape[2:]: value for value in found}  # of each size, the last
    if not last:
        raise ValueError(f"no block of {type(model).__name__} gives a map")
    sides = {size: max(size) for size in last}
    most = max(CELLS, max(x.shape[2:]) // finest)
    coarse = [size for size in last if sides[size] <= most]
    kept = coarse or [min(last, key=lambda size: sides[size])]
    return beside([last[size] for size in kept])


def beside(maps: Sequence[Tensor]) -> Tensor:
    """Put maps ``(B, C, H, W)`` side by side at the size of the largest, ``(B, H, W, D)``."""
    size = max((m.shape[2:] for m in maps), key=math.prod)
    same = [m if m.shape[2:] == size else F.interpolate(m, size, mode="bilinear") for m in maps]
    return torch.cat(same, 1).movedim(1, 3)


def _keep(found: list[Tensor], module: nn.Module, given: Any, value: Any) -> None:
    value = first_tensor(value)
    if value.ndim == 3:  # tokens: those of cells stand last
        side = math.isqrt(value.shape[1])
        value = value[:, value.shape[1] - side * side :].movedim(1, 2).unflatten(2, (side, side))
    elif value.ndim == 4 and value.shape[1] == value.shape[2] != value.shape[3]:  # channels come last
        value = value.movedim(3, 1)
    if value.ndim == 4:
        found.append(value.clone())  # what comes next may change it in place
