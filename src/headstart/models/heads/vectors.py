"""Support vector machines with a Gaussian kernel.

Shapes: ``B`` rows, ``S`` support vectors, ``D`` numbers, ``C`` classes, ``O`` outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from .layer import PRODUCTS, Layer


class _Gaussian(Layer):
    """Keep support vectors and the width of the kernel."""

    rows: Tensor
    gamma: Tensor
    coefficients: Tensor
    intercepts: Tensor

    def _keep(self, rows: int, columns: int, coefficients: Sequence[int], intercepts: int) -> None:
        self.register_buffer("rows", torch.zeros(rows, columns))
        self.register_buffer("gamma", torch.ones(()))
        self.register_buffer("coefficients", torch.zeros(*coefficients))
        self.register_buffer("intercepts", torch.zeros(intercepts))

    def kernel(self, z: Tensor) -> Tensor:
        """Compare rows with the support vectors, ``(B, S)``."""
        return (-self.gamma * torch.cdist(z, self.rows, compute_mode=PRODUCTS).square()).exp()


@final
class Vectors(_Gaussian):
    r"""Sum the kernels of the support vectors: a number, or the side of a plane between two classes.

    .. math:: f_o(z) = b_o + \sum_s \alpha_{os} \exp(-\gamma \lVert z - z_s \rVert^2)

    Args:
        rows: support vectors.
        columns: numbers of a row.
        outputs: numbers of an answer.

    Example:
        >>> Vectors(3, 2, 1)(torch.zeros(4, 2)).shape
        torch.Size([4, 1])
    """

    layer = "vectors"

    def __init__(self, rows: int, columns: int, outputs: int) -> None:
        super().__init__()
        self.settings = {"rows": rows, "columns": columns, "outputs": outputs}
        self._keep(rows, columns, (outputs, rows), outputs)

    def forward(self, z: Tensor) -> Tensor:
        """Return the sums, ``(B, O)``."""
        return self.kernel(z) @ self.coefficients.T + self.intercepts


@final
class Votes(_Gaussian):
    r"""Let a machine for each pair of classes vote; by how much each pair is sure breaks ties.

    With the sum :math:`m_c` of the pairs' margins for a class, its score is the number of its votes plus
    :math:`m_c / (3 (|m_c| + 1))`, as in scikit-learn's ``decision_function_shape="ovr"``.

    Args:
        counts: support vectors of each of three or more classes, in the order in which they stand.
        columns: numbers of a row.

    Example:
        >>> Votes([2, 1, 1], 2)(torch.zeros(4, 2)).shape
        torch.Size([4, 3])
    """

    layer = "votes"

    def __init__(self, counts: Sequence[int], columns: int) -> None:
        super().__init__()
        self.settings = {"counts": list(counts), "columns": columns}
        self.counts, classes = list(counts), len(counts)
        self._keep(sum(counts), columns, (classes - 1, sum(counts)), classes * (classes - 1) // 2)

    def forward(self, z: Tensor) -> Tensor:
        """Return the scores, ``(B, C)``."""
        kernels = self.kernel(z).split(self.counts, 1)
        coefficients = self.coefficients.split(self.counts, 1)
        sums = torch.stack([k @ c.T for k, c in zip(kernels, coefficients, strict=True)])  # (C, B, C - 1)
        one, other = torch.triu_indices(len(sums), len(sums), 1, device=z.device)
        margins = (sums[one, :, other - 1] + sums[other, :, one]).T + self.intercepts  # (B, pairs)
        up, down = torch.eye(len(sums), dtype=z.dtype, device=z.device)[torch.stack([one, other])]
        total, first = margins @ (up - down), (margins >= 0).to(z.dtype)  # (B, C) and (B, pairs)
        votes = first @ up + (1 - first) @ down
        return votes + total / (3 * (total.abs() + 1))
