"""Experts for all tasks, and a gate for each.

Shapes: ``B`` rows, ``D`` features, ``N`` experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from ...tasks import X
from .pattern import Pattern, one_width


@final
class MMoE(Pattern):
    r"""Share several encoders as experts, which each task mixes by a gate of its own.

    .. math:: f_t(x) = \sum_{i=1}^N g_t(x)_i\, e_i(x), \qquad
        g_t(x) = \mathrm{softmax}\big(W_t\,[e_1(x), \dots, e_N(x)] + b_t\big)

    Tasks that have little to do with one another can lean on different experts.

    Args:
        experts: encoders of the same rows, of one width, with weights that differ.
        tasks: their names.
        x: one row or more, for encoders that do not tell their width.

    Shape:
        rows ``(B, *)`` to ``(B, D)``.

    Raises:
        ValueError: if two tasks have one name, or the experts' widths differ.

    Differs from the paper:
        a gate reads what the experts give, not the row itself, so that it serves images, texts and numbers
        alike.

    Example:
        >>> from headstart.models import Net, mlp
        >>> shared = MMoE([mlp(3, hidden=[8]) for _ in range(2)], ["a", "b"])
        >>> net = Net(shared, {"a": nn.Linear(8, 2), "b": nn.Linear(8, 1)})
        >>> net(torch.zeros(4, 3), "a").shape
        torch.Size([4, 2])

    References:
        Ma et al. (KDD 2018), https://doi.org/10.1145/3219819.3220007
    """

    name = "multitask:mmoe"

    def __init__(self, experts: Sequence[nn.Module], tasks: Sequence[str], *, x: X | None = None) -> None:
        super().__init__({"experts": list(experts), "tasks": list(tasks)}, tasks)
        self.width = one_width({f"expert {i}": expert for i, expert in enumerate(experts)}, x)
        self.experts = nn.ModuleList(experts)
        self.gates = nn.ModuleDict({task: Gate(len(experts), self.width) for task in tasks})

    def several(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return each task's mixture of the experts, which run once."""
        found = torch.stack([expert(x) for expert in self.experts], 1)  # (B, N, D)
        return {task: self.gates[task](found) for task in tasks}

    def private(self) -> list[nn.Module]:
        """List the gates."""
        return [self.gates[task] for task in self.tasks]


@final
class Gate(nn.Module):
    """Mix what experts give, ``(B, N, D)`` to ``(B, D)``, by shares that a linear layer reads off all of it.

    Args:
        experts: ``N``.
        width: ``D``.

    Example:
        >>> Gate(2, 3)(torch.ones(4, 2, 3)).shape
        torch.Size([4, 3])
    """

    def __init__(self, experts: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(experts * width, experts)

    def shares(self, found: Tensor) -> Tensor:
        """Return the share of each expert, ``(B, N)``; they sum to 1."""
        return self.layer(found.flatten(1)).softmax(1)

    def forward(self, found: Tensor) -> Tensor:
        """Return the mixture."""
        return torch.einsum("bn,bnd->bd", self.shares(found), found)
