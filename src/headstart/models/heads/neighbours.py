"""The answers of the nearest rows.

Shapes: ``B`` rows, ``N`` rows that are kept, ``D`` numbers, ``A`` answers.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from .layer import PRODUCTS, Layer

SPARE = 8  # more candidates than neighbours, as the distances that find them are rounded


@final
class Neighbours(Layer):
    r"""Average the answers of the ``k`` nearest rows, each weighed by the inverse of its distance.

    .. math:: \sum_i w_i a_i / \sum_i w_i, \quad w_i = 1 / d_i

    A row at distance 0 leaves the others no weight. Of classes, the share of the votes ``s`` becomes a
    log probability that is never infinite, :math:`\log((k s + 1/A) / (k + 1))`: one more vote is spread
    evenly over all classes.

    Args:
        rows: how many are kept.
        columns: numbers of a row.
        outputs: answers of a row; classes are marked by a 1 among zeros.
        k: neighbours, at most ``rows``.
        classes: whether answers are votes for classes.

    Example:
        >>> head = Neighbours(2, 1, 1, k=1, classes=False)
        >>> _ = head.rows.copy_(torch.tensor([[0.0], [3.0]]))
        >>> _ = head.answers.copy_(torch.tensor([[5.0], [7.0]]))
        >>> head(torch.tensor([[1.0], [2.0]])).tolist()
        [[5.0], [7.0]]
    """

    layer = "neighbours"
    rows: Tensor
    answers: Tensor

    def __init__(self, rows: int, columns: int, outputs: int, k: int, classes: bool) -> None:
        super().__init__()
        self.settings = {
            "rows": rows, "columns": columns, "outputs": outputs, "k": k, "classes": classes,
        }  # fmt: skip
        self.k, self.classes = k, classes
        self.register_buffer("rows", torch.zeros(rows, columns))
        self.register_buffer("answers", torch.zeros(rows, outputs))

    def forward(self, z: Tensor) -> Tensor:
        """Return log probabilities, or numbers, ``(B, A)``."""
        some = min(self.k + SPARE, len(self.rows))
        near = torch.cdist(z, self.rows, compute_mode=PRODUCTS).topk(some, largest=False).indices
        distances = (z[:, None] - self.rows[near]).norm(dim=2)  # (B, some), not rounded by large numbers
        distances, order = distances.topk(self.k, largest=False)
        same = distances == 0
        weights = torch.where(same.any(1, keepdim=True), same.to(z.dtype), 1 / distances)
        weights = weights / weights.sum(1, keepdim=True)
        share = (weights[..., None] * self.answers[near.gather(1, order)]).sum(1)
        if not self.classes:
            return share
        return ((self.k * share + 1 / share.shape[1]) / (self.k + 1)).log()
