"""What kinds with an answer at each place share: a word of a text, a pixel of an image.

Shapes: ``B`` rows, ``*`` places, ``D`` features, ``O`` outputs.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .missing import known
from .multiclass import Multiclass
from .named import Named, check_axes, check_numbers


@final
class AtPlaces(nn.Module):
    """Apply a head to the features of each place by itself.

    Args:
        head: from features ``(B, D)`` to outputs ``(B, O)``.
        size: height and width that maps of outputs are brought to, bilinear; ``None`` leaves them.

    Shape:
        ``(B, *, D)`` to ``(B, *, O)``, or ``(B, height, width, O)``.

    Example:
        >>> import torch
        >>> AtPlaces(nn.Linear(3, 2), (8, 8))(torch.zeros(5, 4, 4, 3)).shape
        torch.Size([5, 8, 8, 2])
    """

    reads_places = True

    def __init__(self, head: nn.Module, size: Sequence[int] | None = None) -> None:
        super().__init__()
        self.head, self.size = head, None if size is None else tuple(size)

    def forward(self, z: Tensor) -> Tensor:
        """Return the outputs at each place."""
        said = self.head(z.flatten(0, -2)).unflatten(0, z.shape[:-1])
        return said if self.size is None else _resized(said, self.size)


@final
class Even(nn.Module):
    """Bring features to mean 0 and variance 1 in each row or place: layer normalisation without weights.

    Maps of several blocks side by side differ in scale by far; what learns numbers of them needs one.

    Shape:
        ``(B, D)`` to ``(B, D)``.

    Example:
        >>> import torch
        >>> Even()(torch.tensor([[1.0, 3.0]])).round().tolist()
        [[-1.0, 1.0]]
    """

    def forward(self, z: Tensor) -> Tensor:
        """Return the features on one scale."""
        return F.layer_norm(z, z.shape[-1:])


def _resized(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bring maps ``(B, H, W, O)`` to another size."""
    if maps.shape[1:3] == size:
        return maps
    return F.interpolate(maps.movedim(3, 1), size, mode="bilinear", align_corners=False).movedim(1, 3)


def at_cells(z: Tensor, y: Tensor) -> Tensor:
    """Take labels ``(B, H, W)`` in the middle of each cell of maps ``(B, h, w, D)``."""
    if y.shape[1:] == z.shape[1:3]:
        return y
    return F.interpolate(y[:, None].double(), z.shape[1:3], mode="nearest-exact")[:, 0].to(y.dtype)


def carried(y: Tensor, scale: Tensor, offset: Tensor, missing: float) -> Tensor:
    """Move the labels of pixels ``(B, H, W)`` along with images, as ``Kind.moved`` says.

    Args:
        y: the labels.
        scale: of each axis, across and down, ``(B, 2)``.
        offset: likewise.
        missing: stands where a pixel was outside.
    """
    (across, right), (down, below) = (
        _from(side, scale[:, axis], offset[:, axis]) for axis, side in ((0, y.shape[2]), (1, y.shape[1]))
    )
    rows = torch.arange(len(y), device=y.device)[:, None, None]
    found = y[rows, down[:, :, None], across[:, None, :]]
    return found.where(below[:, :, None] & right[:, None, :], missing)


def _from(side: int, scale: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Tell which of a line's pixels each one's middle was in, ``(B, side)``, and whether in the image."""
    at = ((torch.arange(side, device=scale.device) + 0.5) / side - offset[:, None]) / scale[:, None] * side
    at = at.floor().long()
    return at.clamp(0, side - 1), (at >= 0) & (at < side)


class Placed(Named, ABC):
    """Kinds with one of several classes at each place of a row."""

    metric = "accuracy"

    @property
    def single(self) -> Multiclass:
        """One of the classes, for a place by itself."""
        return Multiclass(self.classes)

    def placed(self, head: nn.Module) -> nn.Module:
        """Apply a head at each place."""
        return AtPlaces(head)

    def entries(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """List the places that have a label: features ``(n, D)``, class numbers ``(n,)``."""
        there = known(y)
        return z[there], y[there]

    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Cross-entropy in nats per labelled place."""
        return self.single.loss(prediction.flatten(0, -2), y.flatten(), complete=complete, weights=weights)

    def constant(self, y: Tensor) -> Tensor:
        """Give the shares of the classes among all places as logits."""
        return self.single.constant(y.flatten())

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for a target outside the classes."""
        check_axes(y, "rows", *self._axes)
        check_numbers(y, len(self.classes))

    @property
    def _axes(self) -> tuple[str, ...]:
        """Name the axes of the places."""
        return (f"{self.place}s",)
