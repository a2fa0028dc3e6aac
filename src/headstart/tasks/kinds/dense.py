"""A real number for each pixel of an image.

Shapes: ``B`` images, ``H``, ``W`` pixels. Sums over the pixels of an image are ``(n, 3)``: of absolute
errors, of squared ones, and of pixels within the tolerance; weights of images ``w (R, n)``, values ``(R,)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import wrong
from .kind import Kind
from .measures import UNIT, Measure, by_name
from .missing import known, mean_over_present, present, said
from .placed import AtPlaces, at_cells, carried
from .regression import Regression
from .standard import Standard


@final
@dataclass(frozen=True, init=False)
class DenseRegression(Kind):
    r"""A real number for each pixel of an image: depth, disparity, height.

    What is lowered is the Huber loss of the error :math:`e` of a pixel, with :math:`\delta = 1`:
    :math:`e^2 / 2` up to an error of 1, :math:`|e| - 1/2` beyond, so that edges, where errors are large, do
    not decide alone. In a comparison the unit of :math:`e` is the spread of the training rows.

    Args:
        size: height and width of the maps.
        within: tolerance of the measure ``within``, in target units, above 0.

    Shape:
        prediction ``(B, H, W, 1)``, ``y (B, H, W)`` float or NaN (to be ignored).

    Raises:
        ValueError: if the size is no two numbers of at least 1, or ``within`` is not above 0.

    Example:
        >>> DenseRegression((1, 2)).decode(torch.tensor([[[[2.5], [0.0]]]]))
        [array([[2.5, 0. ]], dtype=float32)]

    References:
        Huber (Annals of Mathematical Statistics 1964), https://doi.org/10.1214/aoms/1177703732
    """

    size: tuple[int, int]
    within: float
    metric = "mae"
    place = "pixel"
    axes = 2

    def __init__(self, size: Sequence[int], within: float = 1.0) -> None:
        sides = tuple(int(side) for side in size)
        if len(sides) != 2 or min(sides) < 1:
            raise wrong("`size` of maps", expected="height and width, at least 1", found=list(size))
        if not 0 < within < math.inf:
            raise wrong("`within`", expected="above 0 and finite", found=within)
        object.__setattr__(self, "size", sides)
        object.__setattr__(self, "within", float(within))

    @property
    def outputs(self) -> int:
        """One number."""
        return 1

    def describe(self) -> str:
        """Say what there is a number of."""
        return "a number for each pixel (dense regression)"

    @property
    def single(self) -> Regression:
        """A number, for a pixel by itself."""
        return Regression()

    def placed(self, head: nn.Module) -> nn.Module:
        """Apply a head at each place of a map, and bring what it says to the size of the maps, bilinear."""
        return AtPlaces(head, self.size)

    def entries(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """List the places of maps ``(B, h, w, D)`` that have a number: that of the pixel in the middle."""
        y = at_cells(z, y)
        there = known(y)
        return z[there], y[there]

    def moved(self, y: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
        """Take the number of each pixel from where its middle was; missing where that is outside.

        Numbers stay as they are: what changes with the scale of an image, as a disparity does, is not known.
        """
        return carried(y, scale, offset, math.nan)

    def loss(
        self, prediction: Tensor, y: Tensor, *, complete: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Huber loss per pixel that has a number."""
        y = y.reshape(prediction.shape).to(prediction.dtype)
        if complete:
            return F.huber_loss(prediction, y)
        return mean_over_present(F.huber_loss(prediction, y.nan_to_num(0), reduction="none"), known(y))

    def standard(self, y: Tensor) -> Standard:
        """Measure the centre and the scale of the numbers of all pixels."""
        return Standard.of(y.flatten())

    def constant(self, y: Tensor) -> Tensor:
        """Give the median of all pixels, of which the mean absolute error is least."""
        return Standard.of(y.flatten()).centre

    def measures(self) -> dict[str, Measure]:
        """Mean absolute error, root mean squared error, and the share of pixels within the tolerance."""
        return dict(MEASURES)

    def suited(self, y: Tensor) -> tuple[str, str]:
        """Mean absolute error."""
        return self.metric, "numbers at pixels: how far they are off on average, whatever a few edges do"

    def stored(self, outputs: Tensor) -> Tensor:
        """Keep the number of each pixel, ``(B, H, W)``."""
        return self._said(outputs).float()

    def _said(self, outputs: Tensor) -> Tensor:
        """Give the number of each pixel, of outputs or of what is stored of them."""
        return outputs.squeeze(-1) if outputs.ndim == 4 else outputs

    def scored(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sum the errors of each image's labelled pixels ``(n, 3)``, and count these ``(n,)``.

        Outputs may be those of the head, or what is stored of them.
        """
        there = present(y)
        is_ = y[there].double().flatten(1)
        here = known(is_)
        error = (self._said(outputs[there]).double().flatten(1) - is_.nan_to_num(0)).where(here, 0.0)
        near = (error.abs() <= self.within) & here
        sums = torch.stack([error.abs().sum(1), error.square().sum(1), near.sum(1).double()], 1)
        return sums, here.sum(1).double(), torch.arange(len(is_))

    def check(self, y: Tensor) -> None:
        """Raise ``ValueError`` for integer targets, maps of another size or an infinite number."""
        if not y.is_floating_point():
            raise wrong("`y`", expected="float targets", found=str(y.dtype), hint="call `y.float()`")
        if tuple(y.shape[1:]) != self.size:
            raise wrong("`y`", expected=f"maps of {self.size} pixels", found=tuple(y.shape[1:]))
        if y.isinf().any():
            raise wrong("`y`", expected="finite numbers, or NaN where missing", found="infinity")

    def encode(self, labels: Sequence[Any] | Tensor) -> Tensor:
        """Write maps as float targets ``(B, H, W)``; NaN stays, and stands for what is missing."""
        maps = [np.asarray(each, dtype=np.float32) for each in labels]
        if any(each.shape != self.size for each in maps):
            found = sorted({each.shape for each in maps})
            raise wrong("maps", expected=f"of {self.size} pixels", found=found)
        return torch.from_numpy(np.stack(maps)) if maps else torch.zeros(0, *self.size)

    def decode(self, prediction: Tensor) -> list[np.ndarray]:
        """Return the number of each pixel: an array ``(H, W)`` for each image."""
        return list(self.stored(said(prediction)).cpu().numpy())

    def to_json(self) -> dict[str, Any]:
        """Describe the kind as JSON, which ``kind_from_json`` reads."""
        return {"kind": self.name, "size": list(self.size), "within": self.within}


def dense_mae(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Mean absolute error over all pixels, in target units."""
    return _over_pixels(p[:, 0], t, w)


def dense_rmse(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Root of the mean squared error over all pixels, in target units."""
    squared = _over_pixels(p[:, 1], t, w)
    return squared.where(squared != 0, 1.0).sqrt().where(squared != 0, 0.0)  # no slope of a root at 0


def share_within(p: Tensor, t: Tensor, w: Tensor) -> Tensor:
    """Share of the pixels whose error is at most the tolerance."""
    return _over_pixels(p[:, 2], t, w)


def _over_pixels(sums: Tensor, count: Tensor, w: Tensor) -> Tensor:
    return w @ sums.to(w) / (w @ count.to(w))


MEASURES = by_name(
    Measure("mae", dense_mae, higher_is_better=False, bounds=(0, math.inf), ratio=True),
    Measure("rmse", dense_rmse, higher_is_better=False, bounds=(0, math.inf), ratio=True),
    Measure("within", share_within, bounds=UNIT),
)
