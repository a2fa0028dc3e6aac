"""The gradient vaccine.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import wrong
from ._gramian import Directions
from ._weighted import PerTask

PARALLEL = 0.999  # a cosine that is asked for; at 1 the factor of the other gradient has no bound


class GradVac(PerTask):
    r"""Weigh tasks so that each pair agrees as well as it has so far, also where they do not conflict.

    Each gradient, in turn, is turned towards every other with which its cosine :math:`\phi` is below the
    running mean :math:`\hat\phi_{ij}` of that pair, until it is that:

    .. math:: g_i \leftarrow g_i + \frac{|g_i| (\hat\phi \sqrt{1 - \phi^2} - \phi \sqrt{1 - \hat\phi^2})}
        {|g_j| \sqrt{1 - \hat\phi^2}}\, g_j, \qquad
        \hat\phi \leftarrow (1 - \beta) \hat\phi + \beta \phi, \qquad \text{grad} = \sum_i g_i

    With means of 0, as at the first step, it is ``pcgrad``. The means are its state, and part of
    checkpoints. A zero gradient, as that of an absent task, turns none and is not counted in.

    Args:
        names: the tasks, in the order of the losses, distinct.
        beta: :math:`\beta`, how fast the means follow, in [0, 1].

    Shape:
        ``gramian (K, K)``; returns weights ``(K,)``.

    Raises:
        ValueError: if names are missing or not distinct, ``beta`` is out of its range, or the Gramian is not
            ``(K, K)``.
        FloatingPointError: if the Gramian is not finite.

    Differs from the paper:
        the others are met in the order 0 to K - 1 and not in a random one; a mean counts as 0.999 at most.

    Example:
        >>> vaccine = GradVac(["a", "b"], beta=0.5)
        >>> [round(w, 4) for w in vaccine(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist()]
        [1.0, 1.0]
        >>> _ = vaccine(torch.ones(2, 2))  # they agree, and the mean cosine rises
        >>> [round(w, 4) for w in vaccine(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist()]
        [1.5774, 1.5774]

    References:
        Wang et al. (ICLR 2021), algorithm 1 and equation 3, https://arxiv.org/abs/2010.05874
    """

    def __init__(self, names: Sequence[str], *, beta: float = 1e-2) -> None:
        super().__init__(names)
        if not 0 <= beta <= 1:
            raise wrong("`beta`", expected="in [0, 1]", found=beta)
        self.beta = beta
        self.register_buffer("cosines", torch.zeros(len(self.names), len(self.names), dtype=torch.float64))
        self.cosines: Tensor

    def forward(self, gramian: Tensor) -> Tensor:
        """Return the weights of the tasks, and move the mean cosines."""
        if gramian.shape != self.cosines.shape:
            raise wrong("`gramian`", expected=str(tuple(self.cosines.shape)), found=tuple(gramian.shape))
        own = Directions.of(gramian)
        pairs = np.ix_(own.there, own.there)
        means = self.cosines.to("cpu", torch.float64).numpy().copy()
        cosines, wanted = own.cosines.tolist(), means[pairs].tolist()
        turned = np.array([self._turn(i, cosines, wanted[i]) for i in range(len(cosines))])
        means[pairs] = wanted
        self.cosines = torch.from_numpy(means).to(self.cosines)
        return own.weights(own.lengths @ turned, gramian)

    def _turn(self, i: int, cosines: list[list[float]], means: list[float]) -> list[float]:
        """Turn direction ``i``, in numbers of Python, and move the means of its pairs in place."""
        turned = [float(j == i) for j in range(len(means))]
        dots, square = cosines[i], 1.0  # with every direction, and with itself
        for j, mean in enumerate(means):
            if j == i:
                continue
            length = math.sqrt(max(square, 0.0))
            cosine = min(max(dots[j] / length, -1.0), 1.0) if length > 0 else 0.0
            wanted = min(mean, PARALLEL)
            if cosine < wanted:
                sine = math.sqrt(1 - wanted**2)
                by = length * (wanted * math.sqrt(1 - cosine**2) - cosine * sine) / sine
                turned[j] += by
                square += by * (2 * dots[j] + by * cosines[j][j])
                dots = [dot + by * other for dot, other in zip(dots, cosines[j], strict=True)]
            means[j] = mean + self.beta * (cosine - mean)
        return turned
