"""Attention of each task over the maps of a shared convolutional encoder.

Shapes: ``B`` images, ``C`` channels, ``H``, ``W`` cells of a map, ``D`` features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import wrong
from ...tasks import X
from ..backbones.cuts import GRID, WHOLE, cuts, pooled, within
from .pattern import Pattern


@final
class MTAN(Pattern):
    r"""Share one convolutional encoder, over whose maps each task lays masks of its own.

    Behind each block a task reads the shared map :math:`z_j` beside what it kept at the block before, and
    lays a mask in [0, 1] over it:

    .. math:: \hat a_j = \sigma\big(v_j[z_j;\, f_{j-1}(\hat a_{j-1} \odot z_{j-1})]\big) \odot z_j

    with :math:`v` two convolutions of 1x1 and :math:`f` one of 3x3, brought to the next map's size. The last
    masked map, averaged over a grid of 3x3 cells at most, gives the task's features.

    Args:
        encoder: of images, with blocks that give maps.
        tasks: their names.
        maps: channels, height and width behind each block, as ``maps(encoder, x)`` measures them.

    Shape:
        images ``(B, C, H, W)`` to ``(B, D)``.

    Raises:
        ValueError: if no block gives a map; at the first rows, where a map has other channels than said.

    Differs from the paper:
        masks read the blocks' maps (the paper: the first convolution's of each block, beside the last), and
        there is no decoder: a mask chooses channels and cells for one answer per image.

    Example:
        >>> from headstart.models import Net, conv4, maps
        >>> encoder = conv4(1, width=8)
        >>> attending = MTAN(encoder, ["a", "b"], maps(encoder, torch.zeros(1, 1, 28, 28)))
        >>> Net(attending, {"a": nn.Linear(attending.width, 2)})(torch.zeros(4, 1, 28, 28), "a").shape
        torch.Size([4, 2])

    References:
        Liu, Johns & Davison (CVPR 2019), https://arxiv.org/abs/1803.10704
    """

    name = "multitask:mtan"

    def __init__(self, encoder: nn.Module, tasks: Sequence[str], maps: Mapping[str, Sequence[int]]) -> None:
        told = {block: list(shape) for block, shape in maps.items()}
        super().__init__({"encoder": encoder, "tasks": list(tasks), "maps": told}, tasks)
        if not told:
            raise wrong("`maps` of MTAN", expected="of one block or more", found="none")
        self.maps, self.encoder = told, encoder
        channels, height, width = list(told.values())[-1]
        self.width = channels * min(GRID, height) * min(GRID, width)
        self.attention = nn.ModuleDict({task: _Attention([c for c, _, _ in told.values()]) for task in tasks})

    def several(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the features of each task, of one pass through the encoder."""
        found = _maps(self.encoder, list(self.maps), x)
        for block, (channels, _, _) in self.maps.items():
            if block not in found or found[block].shape[1] != channels:
                given = tuple(found[block].shape[1:]) if block in found else "no map"
                raise wrong(f"map behind block {block!r}", expected=f"of {channels} channels", found=given)
        return {task: self.attention[task]([found[block] for block in self.maps]) for task in tasks}

    def private(self) -> list[nn.Module]:
        """List the tasks' attention."""
        return [self.attention[task] for task in self.tasks]


@final
class _Attention(nn.Module):
    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        before = [0, *channels[:-1]]
        self.masks = nn.ModuleList(
            _mask(c + (c if b else 0), c) for b, c in zip(before, channels, strict=True)
        )
        self.carry = nn.ModuleList(
            nn.Sequential(nn.Conv2d(b, c, 3, padding=1), nn.BatchNorm2d(c), nn.ReLU())
            for b, c in pairwise(channels)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        kept = self.masks[0](maps[0]) * maps[0]
        for j, z in enumerate(maps[1:]):
            carried = F.adaptive_max_pool2d(self.carry[j](kept), z.shape[2:])
            kept = self.masks[j + 1](torch.cat([z, carried], 1)) * z
        return pooled(kept)


def _mask(given: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(),
        nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.Sigmoid(),
    )  # fmt: skip


def maps(encoder: nn.Module, x: X) -> dict[str, list[int]]:
    """Measure the maps behind an encoder's blocks: channels, height and width, by block.

    Args:
        encoder: in any mode; nothing of it moves.
        x: one image or more.

    Raises:
        ValueError: if no block gives a map ``(B, C, H, W)``.

    Example:
        >>> maps(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3)), torch.zeros(1, 1, 8, 8))
        {'0': [4, 6, 6], '1': [8, 4, 4]}
    """
    blocks = [block for block in cuts(encoder) if block != WHOLE]
    training = {module: module.training for module in encoder.modules()}
    with torch.no_grad():
        found = _maps(encoder.eval(), blocks, x)
    for module, mode in training.items():
        module.training = mode
    shapes = {block: tuple(value.shape[1:]) for block, value in found.items()}
    there = {block: list(shape) for block, shape in shapes.items() if len(shape) == 3}
    if not there:
        given = ", ".join(f"{shape} behind {block!r}" for block, shape in shapes.items())
        raise wrong(
            "blocks of the encoder", expected="some that give maps (channels, height, width)", found=given
        )
    return there


def _maps(encoder: nn.Module, blocks: Sequence[str], x: X) -> dict[str, Tensor]:
    """Run an encoder, and keep what its blocks give."""
    found: dict[str, Tensor] = {}
    inner = encoder.get_submodule(within(encoder))
    handles = [inner.get_submodule(b).register_forward_hook(partial(_keep, found, b)) for b in blocks]
    try:
        encoder(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _keep(found: dict[str, Tensor], block: str, module: nn.Module, given: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        found[block] = value.clone()  # what comes next may change it in place
