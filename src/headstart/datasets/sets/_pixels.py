"""What the sets of images share.

Every set keeps the test part that its publishers gave it. Pixels are float32 in [0, 1]. An image set
takes a size after its name: ``usps:28`` (or ``resize=28``), and ``mnist:3x32x32`` with channels.

Shapes: ``N`` rows, ``C`` channels, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import wrong
from ...tasks import Kind, Labelled, Multiclass, Task
from ..options import Options
from ..readers.images import ImageEncoding

DIGITS = tuple(range(10))


def resized(x: Tensor, size: str) -> Tensor:
    """Bring pixels ``(N, C, H, W)`` to ``"28"`` (square), ``"28x20"`` or ``"3x32x32"``.

    Bilinear with antialiasing; grey is repeated as RGB, RGB becomes luminance.

    Raises:
        ValueError: if the size is not understood.
    """
    if not size:
        return x
    numbers = [int(n) if n.isdigit() else 0 for n in size.split("x")]
    numbers = numbers * 2 if len(numbers) == 1 else numbers
    channels, high, wide = (x.shape[1], *numbers) if len(numbers) == 2 else (*numbers, 0)[:3]
    if len(numbers) > 3 or min(high, wide) < 1 or channels not in (1, 3):
        raise wrong("size of images", expected='as in "28" or "3x32x32"', found=f'"{size}"')
    if x.shape[1] == 3 and channels == 1:
        x = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    if x.shape[2:] != (high, wide):
        blocks = x.split(4096)
        x = torch.cat(
            [F.interpolate(b, (high, wide), mode="bilinear", antialias=True).clamp(0, 1) for b in blocks]
        )
    return x.repeat(1, 3, 1, 1) if channels > x.shape[1] else x


def size_of(argument: str, options: Options) -> str:
    """Return the size that stands after the name, else the one of ``resize``."""
    if options.resize is None or argument:
        return argument
    return "x".join(map(str, options.resize))


def pictures(name: str, size: str, parts: Mapping[str, tuple[Tensor, np.ndarray]]) -> list[Task]:
    """Make a task of digits of pixels and labels, part by part."""
    labelled = {}
    for part, (pixels, labels) in parts.items():
        x = resized(pixels[:, None] if pixels.ndim == 3 else pixels, size)
        labelled[part] = Labelled(x, torch.from_numpy(labels.astype(np.int64)))
    encoding = encoded(labelled["train"], name, Multiclass(DIGITS))
    return [Task(name, Multiclass(DIGITS), **labelled, encoding=encoding)]  # type: ignore[arg-type]


def encoded(rows: Labelled, name: str, kind: Kind) -> ImageEncoding:
    """Say how rows of pixels were made, and what is asked for."""
    shape = tuple(rows.x.shape[1:])  # type: ignore[union-attr]
    return ImageEncoding(reader="images", shape=shape).asking(name, kind)


def unit(pixels: np.ndarray) -> Tensor:
    """Make 8-bit pixels float32 in [0, 1]."""
    return torch.from_numpy(pixels).float().div_(255)
