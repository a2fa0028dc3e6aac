"""One of several classes for each pixel of an image.

Shapes: ``B`` images, ``H``, ``W`` pixels, ``C`` classes. Counts are ``(n, C, C)``, what is by what is said,
weights of images ``w (R, n)``, values ``(R,)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import wrong
from .kind import Label
from .measures import UNIT, Measure, by_name, macro
from .missing import MISSING, known, present, said
from .named import class_names, listed, numbered, shares_of
from .placed import AtPlaces, Placed, at_cells, carried


@final
@dataclass(frozen=True, init=False)
class Segmentation(Placed):
    """One of several classes for each pixel of an image (semantic segmentation).

    Args:
        classes: how many, or the user's own names.
        size: height and width of the masks.

    Shape:
        prediction ``(B, H, W, C)`` logits, ``y (B, H, W)`` int64 in ``[0, C)`` or -100 (to be ignored).

    Raises:
        ValueError: if a class has no other beside it, or the size is no two numbers of at least 1.

    Example:
        >>> Segmentation(["ground", "leaf"], (1, 2)).decode(torch.tensor([[[[2.0, 1.0], [0.0, 3.0]]]]))
        [array([['ground', 'leaf']], dtype='<U6')]
    """

    size: tuple[int, int]
    metric = "miou"
    place = "pixel"
    axes = 2

    def __init__(self, classes: int | Sequence[Label], size: Sequence[int]) -> None:
        sides = tuple(int(side) for side in size)
        if len(sides) != 2 or min(sides) < 1:
            raise wrong("`size` of masks", expected="height and width, at least 1", found=list(size))
        object.__setattr__(self, "classes", class_names(classes))
        object.__setattr__(self, "size", sides)

    @property
    def _axes(self) -> tuple[str, ...]:
        return "height", "width"

    def describe(self) -> str:
        """Count the classes and list the first of them."""
        return listed(self.classes, "classes for each pixel")

    def placed(self, head: nn.Module) -> nn.Module:
        """Apply a head at each place of a map, and bring what it says to the size of the masks."""
        return AtPlaces(head, self.size)

    def entries(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """List the places of maps ``(B, h, w, D)`` that have a label: that of the pixel in the middle."""
        return super().entries(z, at_cells(z, y))

    def moved(self, y: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
        """Take the label of each pixel from where its middle was; missing where that is outside."""
        return carried(y, scale, offset, MISSING)

    def measures(self) -> dict[str, Measure]:
        """Mean intersection over union, and others, from the counts of all images together."""
        return dict(MEASURES)

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Mean intersection over union."""
        return self.metric, "classes count alike, however few their pixels"

    def stored(self, outputs: Tensor) -> Tensor:
        """Keep the likeliest class of each pixel, ``(B, H, W)``, as 8 bits where these suffice."""
        return self._said(outputs).to(torch.uint8 if len(self.classes) <= 256 else torch.int32)

    def _said(self, outputs: Tensor) -> Tensor:
        """Give the class of each pixel, of outputs or of what is stored of them."""
        return outputs.argmax(-1) if outputs.ndim == 4 else outputs.long()

    def scored(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Count the labelled pixels of each image by class and answer ``(n, C, C)``, and by class ``(n, C)``.

        Outputs may be those of the head, or what is stored of them.
        """
        there, many = present(y), len(self.classes)
        said = self._said(outputs[there])
        is_, row = y[there], torch.arange(int(there.sum()))
        here = known(is_)
        cell = (row[:, None, None] * many + is_) * many + said
        counts = cell[here].bincount(minlength=len(row) * many * many).double().reshape(-1, many, many)
        return counts, counts.sum(2), row

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for masks of another size, or a target outside the classes."""
        super().check(y)
        if tuple(y.shape[1:]) != self.size:
            raise wrong("`y`", expected=f"masks of {self.size} pixels", found=tuple(y.shape[1:]))

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Number the labels of masks, ``(B, H, W)`` int64; ``ValueError`` names an unknown one."""
        masks = [np.asarray(mask) for mask in labels]
        if any(mask.shape != self.size for mask in masks):
            found = sorted({mask.shape for mask in masks})
            raise wrong("masks", expected=f"of {self.size} pixels", found=found)
        if not masks:
            return torch.zeros(0, *self.size, dtype=torch.long)
        values, at = np.unique(np.stack(masks), return_inverse=True)
        return numbered(self.classes, values.tolist())[torch.from_numpy(at.reshape(-1, *self.size))]

    def decode(self, prediction: Tensor) -> list[np.ndarray]:
        """Name the likeliest class of each pixel: an array ``(H, W)`` for each image."""
        return list(np.array(self.classes)[self._said(said(prediction)).cpu().numpy()])

    def shares(self, y: Tensor) -> dict[Label, float]:
        """Give the share of each class among the labelled pixels."""
        return shares_of(self.classes, y.flatten())

    def to_json(self) -> dict[str, Any]:
        """Describe the kind as JSON, with the size of its masks."""
        return super().to_json() | {"size": list(self.size)}


def _counts(p: Tensor, w: Tensor) -> Tensor:
    """Sum the counts of images, ``(R, C, C)``."""
    return torch.einsum("rn,nij->rij", w, p.to(w))


def mean_iou(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    r""":math:`TP / (TP + FP + FN)` of a class, averaged over those that occur or are said."""
    counts = _counts(p, w)
    right = counts.diagonal(dim1=1, dim2=2)
    return macro(right, counts.sum(1) + counts.sum(2) - right)


def mean_dice(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    r""":math:`2 TP / (2 TP + FP + FN)` of a class, averaged over those that occur or are said."""
    counts = _counts(p, w)
    return macro(2 * counts.diagonal(dim1=1, dim2=2), counts.sum(1) + counts.sum(2))


def pixel_accuracy(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of the pixels whose class is right."""
    counts = _counts(p, w)
    return counts.diagonal(dim1=1, dim2=2).sum(1) / counts.sum((1, 2))


def mean_accuracy(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of right pixels in a class, averaged over the classes that occur."""
    counts = _counts(p, w)
    return macro(counts.diagonal(dim1=1, dim2=2), counts.sum(2))


MEASURES = by_name(
    Measure("miou", mean_iou, bounds=UNIT),
    Measure("dice", mean_dice, bounds=UNIT),
    Measure("accuracy", pixel_accuracy, bounds=UNIT),
    Measure("balanced_accuracy", mean_accuracy, bounds=UNIT),
)
