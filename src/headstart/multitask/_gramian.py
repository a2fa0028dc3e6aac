"""What the Gramian weighings share.

Shapes: ``K`` tasks, ``n`` of them with a gradient other than zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import wrong

ROUNDING = 1e-12  # of systems of float64, with room to spare
Array = np.ndarray[Any, np.dtype[np.float64]]


def array(gramian: Tensor) -> Array:
    """Copy a Gramian to the processor in float64, or say what is wrong with it.

    K x K solvers take microseconds there and would wait for the device at every branch elsewhere.
    """
    if gramian.ndim != 2 or gramian.shape[0] != gramian.shape[1] or not len(gramian):
        raise wrong("`gramian`", expected="shape (K, K), K at least 1", found=tuple(gramian.shape))
    values: Array = gramian.detach().to("cpu", torch.float64).numpy().copy()
    if not np.isfinite(values).all():
        raise wrong(
            "Gramian of the task gradients",
            expected="finite",
            found="infinity or NaN",
            hint="lower the step size",
            error=FloatingPointError,
        )
    return values


@dataclass(frozen=True, slots=True)
class Directions:
    r"""A Gramian taken apart into lengths and cosines, so that solvers meet numbers of one size.

    With :math:`\epsilon` the rounding of the Gramian's own type, :math:`\epsilon I` is added to the
    cosines: every system has one solution, and where gradients cancel, weights stay so small that
    their sum is not made of rounding. Tasks without a gradient are left out and get the weight 0.

    Args:
        cosines: ``(n, n)``, positive definite.
        lengths: ``(n,)``, above 0.
        there: which of the tasks these are, ``(K,)``.
    """

    cosines: Array
    lengths: Array
    there: np.ndarray[Any, np.dtype[np.bool_]]

    @staticmethod
    def of(gramian: Tensor) -> Directions:
        """Take a Gramian ``(K, K)`` apart."""
        g = array(gramian)
        there = g.diagonal() > 0
        if not there.all():
            g = g[np.ix_(there, there)]
        lengths = np.sqrt(g.diagonal())
        cosines = g / lengths / lengths[:, None]
        cosines.flat[:: len(g) + 1] += 16 * torch.finfo(gramian.dtype).eps + ROUNDING
        return Directions(cosines, lengths, there)

    def weights(self, of_directions: Array, gramian: Tensor) -> Tensor:
        """Turn weights of the directions ``(n,)`` into those of the gradients ``(K,)``."""
        weights = np.zeros(len(self.there))
        weights[self.there] = of_directions / self.lengths
        return torch.from_numpy(weights).to(gramian)
