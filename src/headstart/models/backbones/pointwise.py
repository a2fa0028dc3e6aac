"""Pixels as they are, for learners without a network.

Shapes: ``B`` images, ``C`` channels, ``H``, ``W`` pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from ..net import Backbone

LEVELS = 256  # of grey


class _Pointwise(Backbone):
    """Look at each place by itself."""

    settings: Mapping[str, Any] = {}
    width = 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of all places in one row, ``(B, *)``."""
        return self.places(x).flatten(1).float()

    def places(self, x: Tensor) -> Tensor:
        """Return the features of each place, ``(B, *, D)``."""
        raise NotImplementedError


@final
class Pixels(_Pointwise):
    """Give the colours of each pixel, standardised, ``(B, H, W, C)``.

    Args:
        channels: ``C``.

    Attributes:
        mean: of each channel, 0 until it is set, ``(C,)``.
        spread: of each channel, 1 until it is set, ``(C,)``.

    Example:
        >>> Pixels(3).places(torch.zeros(2, 3, 4, 5)).shape
        torch.Size([2, 4, 5, 3])
    """

    use = "pixels"
    mean: Tensor
    spread: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.settings, self.width = {"channels": channels}, channels
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))

    def places(self, x: Tensor) -> Tensor:
        """Return the colours."""
        return (x.movedim(1, -1) - self.mean) / self.spread


@final
class Greys(_Pointwise):
    """Give the grey of each pixel, the mean of its channels, as one of 256 levels, ``(B, H, W, 1)`` int64.

    Attributes:
        low: what level 0 stands for, 0 until it is set.
        high: what level 255 stands for, 1 until it is set.

    Example:
        >>> Greys().places(torch.tensor([0.0, 0.5, 2.0]).reshape(1, 1, 1, 3)).flatten().tolist()
        [0, 127, 255]
    """

    use = "greys"
    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.ones(()))

    def places(self, x: Tensor) -> Tensor:
        """Return the levels."""
        share = (x.mean(1) - self.low) / (self.high - self.low)
        return (share.clamp(0, 1) * (LEVELS - 1)).long()[..., None]


POINTWISE: dict[str, type[Backbone]] = {kind.use: kind for kind in (Pixels, Greys)}
