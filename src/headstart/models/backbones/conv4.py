"""Four convolutional blocks, the usual trunk of few-shot papers.

Shapes: ``B`` rows, ``C`` channels, ``H``, ``W`` pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, final, get_args

from torch import Tensor, nn

from ...errors import unknown, wrong
from ..net import Backbone
from .maps import beside

Geometry = Literal["pooled", "strided"]
Norm = Literal["batch", "group", "layer", "instance", "none"]


def _norm(norm: Norm, width: int) -> list[nn.Module]:
    if norm == "none":
        return []
    if norm == "batch":
        return [nn.BatchNorm2d(width)]
    if norm == "instance":
        return [nn.InstanceNorm2d(width, affine=True)]
    return [nn.GroupNorm(math.gcd(8, width) if norm == "group" else 1, width)]


@final
class _Conv4(Backbone):
    channels_last = True

    use = "conv4"

    def __init__(
        self,
        channels: int,
        width: int,
        geometry: Geometry,
        norm: Norm,
        size: int | Sequence[int],
        halvings: int,
    ) -> None:
        super().__init__()
        sides = [size, size] if isinstance(size, int) else list(size)
        if len(sides) != 2:
            raise wrong("`size`", expected="one number, or height and width", found=sides)
        height, breadth = sides
        if geometry not in get_args(Geometry):
            raise unknown("`geometry`", geometry, get_args(Geometry))
        if norm not in get_args(Norm):
            raise unknown("`norm`", norm, get_args(Norm))
        if min(channels, width, height, breadth) < 1:
            found = {"channels": channels, "width": width, "size": size}
            raise wrong("sizes of `conv4`", expected="at least 1", found=found)
        self.settings = {
            "channels": channels, "width": width, "geometry": geometry, "norm": norm,
            "size": height if height == breadth else [height, breadth], "halvings": halvings,
        }  # fmt: skip
        blocks = []
        for block in range(4):
            halve = min(height, breadth) > 1 and block < halvings
            stride = 2 if halve and geometry == "strided" else 1
            parts: list[nn.Module] = [nn.Conv2d(width if block else channels, width, 3, stride, padding=1)]
            if stride == 2:
                height, breadth = math.ceil(height / 2), math.ceil(breadth / 2)
            if norm == "instance" and height * breadth == 1:
                hint = 'use `norm="group"` or larger images'
                raise wrong('`size` for `norm="instance"`', expected="larger", found=size, hint=hint)
            parts += [*_norm(norm, width), nn.ReLU()]
            if halve and geometry == "pooled":
                parts.append(nn.MaxPool2d(2))
                height, breadth = height // 2, breadth // 2
            blocks.append(nn.Sequential(*parts))
        self.blocks = nn.Sequential(*blocks)
        self.width = width * height * breadth

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x).flatten(1)

    def chain(self) -> list[nn.Module]:
        """List the blocks."""
        return [*self.blocks, nn.Flatten()]

    def places(self, x: Tensor) -> Tensor:
        """Return the maps of all blocks side by side, at the size of the largest, ``(B, H, W, D)``."""
        maps = []
        for block in self.blocks:
            maps.append(x := block(x))
        return beside(maps)


def conv4(
    channels: int = 1,
    *,
    width: int = 64,
    geometry: Geometry = "pooled",
    norm: Norm = "batch",
    size: int | Sequence[int] = 28,
    halvings: int = 4,
) -> Backbone:
    """Build four blocks of a 3x3 convolution, a normalisation and a ReLU, each halving the image.

    ``"pooled"`` (Vinyals et al.) halves by 2x2 max-pooling after the ReLU and rounds down, so 28
    pixels become 14, 7, 3, 1. ``"strided"`` (Finn et al., Omniglot) halves by the convolution's
    stride and rounds up: 14, 7, 4, 2. A block whose map is already one pixel high or wide does not
    halve: 8x8 images become 4, 2, 1, 1, by three pools. Weights are drawn from the global random
    state, as PyTorch's layers do.

    Args:
        channels: of the image.
        width: channels of every block.
        geometry: ``"pooled"`` or ``"strided"``.
        norm: ``"batch"``; ``"group"`` (8 groups, or the largest power of 2 below that divides
            ``width``); ``"layer"`` (over channels and pixels); ``"instance"``; ``"none"``. The last
            four do not look at the other rows of a batch. Scale and shift are per channel.
        size: pixels of a side, or height and width.
        halvings: how many of the four blocks, from the first on, halve the image; fewer keep more of
            where things are in small images.

    Shape:
        ``x (B, C, H, W)``; returns ``(B, width * h * w)`` for a last map of ``h`` times ``w`` pixels:
        with the defaults 64, with ``geometry="strided"`` 256. Its ``places(x)`` are the maps of the four
        blocks side by side at the size of the first one, ``(B, H / 2, W / 2, 4 * width)``.

    Raises:
        ValueError: for an unknown geometry or norm, a size below 1, or instance norm where the map
            shrinks to one pixel, whose norm is always 0.

    Example:
        >>> import torch
        >>> conv4(1)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 64])
        >>> conv4(1, geometry="strided").width
        256

    References:
        Vinyals et al. (NeurIPS 2016), section 4.1, https://arxiv.org/abs/1606.04080
        Finn, Abbeel & Levine (ICML 2017), section 5.2, https://arxiv.org/abs/1703.03400
    """
    return _Conv4(channels, width, geometry, norm, size, halvings)
