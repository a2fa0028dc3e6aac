"""Random changes of images that go far, and that leave their answers all the same.

Shapes: ``B`` images, ``C`` channels, ``H``, ``W`` pixels.

References:
    Cubuk et al. (NeurIPS 2020), RandAugment, of which these are some, https://arxiv.org/abs/1909.13719;
    DeVries & Taylor (2017), Cutout, https://arxiv.org/abs/1708.04552
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..tasks import Kind, Labelled
from ..tasks.arrays import lit

DEGREES, STRETCH = 15.0, 0.1  # of a turn, and of what goes with it, as a share
STRENGTH = 0.5  # of changes of each channel, as a share
SIDE = 0.3  # of the square that is painted over, as a share of the image's


def turn(rows: Labelled, kind: Kind, generator: torch.Generator) -> Labelled:
    """Turn each image about its middle by up to 15 degrees; stretch and slant it by up to a tenth."""
    x = images(rows)
    angle, wide, high, slant = (2 * torch.rand(4, len(x), generator=generator) - 1).unbind()
    angle = angle * math.radians(DEGREES)
    wide, high, slant = 1 + STRETCH * wide, 1 + STRETCH * high, STRETCH * slant
    across = torch.stack([wide * angle.cos(), slant - high * angle.sin(), torch.zeros(len(x))], 1)
    down = torch.stack([wide * angle.sin(), high * angle.cos(), torch.zeros(len(x))], 1)
    grid = F.affine_grid(torch.stack([across, down], 1).to(x), list(x.shape), align_corners=False)
    return replace(rows, x=F.grid_sample(x, grid, padding_mode="border", align_corners=False))


def tint(rows: Labelled, kind: Kind, generator: torch.Generator) -> Labelled:
    """Change contrast and brightness of each channel by itself, by up to half of the image's spread."""
    x = images(rows)
    draws = (2 * torch.rand(2, *x.shape[:2], 1, 1, generator=generator) - 1) * STRENGTH
    contrast, brightness = draws.to(x)
    mean, spread = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
    return replace(rows, x=mean + (1 + contrast) * (x - mean) + brightness * spread)


def invert(rows: Labelled, kind: Kind, generator: torch.Generator) -> Labelled:
    """Let light and dark change places about the middle of their range, one image in two."""
    x = images(rows)
    chosen = (torch.rand(len(x), generator=generator) < 0.5).to(x.device)[:, None, None, None]
    return replace(rows, x=torch.where(chosen, x.amin((1, 2, 3), True) + x.amax((1, 2, 3), True) - x, x))


def erase(rows: Labelled, kind: Kind, generator: torch.Generator) -> Labelled:
    """Paint a square of each image, three tenths of its side, in its mean; part may lie outside."""
    x = images(rows)
    height, width = x.shape[2:]
    middle = torch.rand(2, len(x), 1, generator=generator)
    down, across = (
        (torch.arange(size) + 0.5 - place * size).abs() <= SIDE * min(height, width) / 2
        for size, place in zip((height, width), middle, strict=True)
    )
    square = (down[:, :, None] & across[:, None, :])[:, None].to(x.device)
    return replace(rows, x=torch.where(square, x.mean((1, 2, 3), keepdim=True), x))


def images(rows: Labelled) -> Tensor:
    """Give the images of rows in memory."""
    assert isinstance(rows.x, Tensor)  # the situation asked for it
    return lit(rows.x)
