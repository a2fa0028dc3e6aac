"""Fully connected layers, for rows that are plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from ...errors import unknown, wrong
from ..net import Backbone

BETWEEN: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


@final
class _MLP(Backbone):
    use = "mlp"

    def __init__(self, features: int, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        sizes = [features, *hidden] if isinstance(hidden, Sequence) else [features]
        if len(sizes) < 2 or min(sizes) < 1:
            expected = "one or more sizes above 0, such as 3 and [40, 40]"
            raise wrong("`features` and `hidden`", expected=expected, found=f"{features} and {hidden}")
        if activation not in BETWEEN:
            raise unknown("`activation`", str(activation), BETWEEN)
        named = {} if activation == "relu" else {"activation": activation}
        self.settings = {"features": features, "hidden": list(hidden), **named}
        self.width = sizes[-1]
        parts: list[nn.Module] = []
        for size, following in pairwise(sizes):
            parts += [nn.Linear(size, following), BETWEEN[activation]()]
        self.layers = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1))

    def chain(self) -> list[nn.Module]:
        """List the layers."""
        return [nn.Flatten(), *self.layers]


def mlp(features: int, *, hidden: Sequence[int] = (40, 40), activation: str = "relu") -> Backbone:
    r"""Build fully connected layers, each followed by a ReLU or a tanh.

    .. math:: h_l = \max(0, W_l h_{l-1} + b_l)

    Weights are drawn from the global random state, as PyTorch's layers do.

    Args:
        features: numbers per row; rows of more than one axis are flattened.
        hidden: sizes of the layers; the last is the width of the features. Two layers of 40 are the
            regression network of MAML.
        activation: ``"relu"``, or ``"tanh"``, which policies have.

    Shape:
        ``x (B, *)`` with ``features`` numbers per row; returns ``(B, hidden[-1])``.

    Raises:
        ValueError: if ``hidden`` is empty, a size is below 1, or the activation is unknown.

    Example:
        >>> import torch
        >>> mlp(1, hidden=(40, 40))(torch.zeros(3, 1)).shape
        torch.Size([3, 40])

    References:
        Finn, Abbeel & Levine (ICML 2017), section 5.1, https://arxiv.org/abs/1703.03400
    """
    return _MLP(features, hidden, activation)
