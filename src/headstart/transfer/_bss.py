"""Batch spectral shrinkage: let go of the features that transfer least.

Shapes: ``B`` rows, ``D`` features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import wrong
from ..models import Net
from ..tasks import Labelled


@dataclass(frozen=True)
class BSS:
    r"""Shrink the smallest singular values of the features of a batch.

    With few rows, directions in which the pretrained features hardly differ are fitted to noise, and what was
    pretrained there harms. With :math:`\sigma_{-i}` the ``i``-th smallest singular value of the features
    :math:`F`, a row each:

    .. math:: L_{bss} = \eta \sum_{i=1}^{k} \sigma_{-i}^2

    It gives no label loss: add it to one with ``Plus``.

    Args:
        weight: :math:`\eta`, at least 0; the paper's is 0.001.
        smallest: :math:`k`, at least 1.

    Shape:
        rows ``x (B, *)`` by task name; returns one scalar ``bss``, summed over different ``x``, in squared
        feature units. There are as many singular values as the smaller of ``B`` and ``D``.

    Raises:
        ValueError: if a number is out of its range.

    Example:
        >>> from torch import nn
        >>> net = Net(nn.Identity(), {"a": nn.Linear(2, 1)})
        >>> rows = Labelled(torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.zeros(2))
        >>> round(BSS(0.5)(net, {"a": rows}, 0.0)["bss"].item(), 6)
        2.0

    References:
        Chen et al. (NeurIPS 2019), equation 5,
        https://papers.nips.cc/paper/8466-catastrophic-forgetting-meets-negative-transfer-batch-spectral-shrinkage-for-safe-transfer-learning
    """

    weight: float = 1e-3
    smallest: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise wrong("`weight`", expected="at least 0 and finite", found=self.weight)
        if self.smallest < 1:
            raise wrong("`smallest`", expected="at least 1", found=self.smallest)

    def __call__(self, net: Net, batch: Mapping[str, Labelled], progress: float) -> dict[str, Tensor]:
        """Return the penalty on the features of the batch."""
        different = {id(rows.x): (name, rows.x) for name, rows in batch.items()}
        squares = [_squares(net.features(x, name))[: self.smallest].sum() for name, x in different.values()]
        return {"bss": self.weight * torch.stack(squares).sum()}


def _squares(features: Tensor) -> Tensor:
    """Give the squared singular values of features ``(B, D)``, the smallest first.

    They are the eigenvalues of the smaller Gram matrix, whose gradient is finite where some are equal.
    """
    gram = features @ features.T if len(features) <= features.shape[1] else features.T @ features
    return torch.linalg.eigvalsh(gram).clamp(min=0)
