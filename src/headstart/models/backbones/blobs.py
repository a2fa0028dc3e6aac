"""Objects by their grey alone, for a learner without a network.

Shapes: ``B`` images of ``H`` x ``W`` pixels, ``h``, ``w`` cells of a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..net import Backbone

CELLS = 64  # of a side, at most: objects with their middles in one cell are one
LEVELS = 256


@final
class Blobs(Backbone):
    """Cut each image at its own level of grey, and give the boxes of what hangs together, ``(B, h, w, 5)``.

    Each stands in the cell of its middle: 1, how far the middle lies from that of the cell, in cells, and the
    logarithm of its sides, in shares of the image's; of several the largest. Other cells hold zeros.

    Attributes:
        sign: 1 where objects are lighter than what is around them, -1 where they are darker.
        least: the share of the image that an object covers at least.

    Example:
        >>> x = torch.zeros(1, 1, 8, 8)
        >>> x[:, :, 2:4, 4:8] = 1.0
        >>> found = Blobs().places(x)
        >>> found.shape, found[0, 3, 6].exp().tolist()[3:]  # a half as wide as the image, a quarter as high
        (torch.Size([1, 8, 8, 5]), [0.5, 0.25])

    References:
        Otsu, A threshold selection method from gray-level histograms (IEEE SMC 1979), equation 18
    """

    use = "blobs"
    settings: Mapping[str, Any] = {}
    width = 5
    sign: Tensor
    least: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sign", torch.ones(()))
        self.register_buffer("least", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return all cells in one row."""
        return self.places(x).flatten(1)

    def places(self, x: Tensor) -> Tensor:
        """Return what stands in each cell."""
        shape = tuple(min(side, CELLS) for side in x.shape[2:])
        found = numpy.zeros((len(x), *shape, self.width), numpy.float32)
        for cells, grey in zip(found, x.mean(1).double().cpu().numpy(), strict=True):
            self._boxes(cells, grey)
        return torch.from_numpy(found).to(x.device)

    def _boxes(self, cells: NDArray[Any], grey: NDArray[Any]) -> None:
        from scipy.ndimage import find_objects, label

        there, _ = label((grey - level(grey)) * self.sign.item() > 0)
        size = numpy.bincount(there.ravel()) / grey.size
        boxes = find_objects(there)
        for k in numpy.argsort(size[1:], kind="stable"):
            if size[1 + k] < self.least.item():
                continue
            ends = numpy.array([(side.start, side.stop) for side in boxes[k]]) / [[n] for n in grey.shape]
            middle = ends.mean(1) * cells.shape[:2]
            at = middle.astype(int)
            off = middle - at - 0.5
            cells[at[0], at[1]] = [1, off[1], off[0], *numpy.log(ends[::-1, 1] - ends[::-1, 0])]


def level(grey: NDArray[Any]) -> float:
    """Find the level that tells light from dark best: with the largest variance between both.

    Example:
        >>> 0.1 < level(numpy.array([0.0, 0.1, 0.8, 1.0])) < 0.8
        True
    """
    counts, edges = numpy.histogram(grey, LEVELS)
    below = counts.cumsum()[:-1] / grey.size
    mean = (counts * (edges[1:] + edges[:-1]) / 2).cumsum() / grey.size
    apart = (mean[-1] * below - mean[:-1]) ** 2 / (below * (1 - below)).clip(1e-12)
    best = numpy.flatnonzero(apart == apart.max())
    return float(edges[1:-1][best].mean())
