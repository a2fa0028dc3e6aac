"""Which support row is of which class, and heads made of support rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..errors import wrong
from ..models import Adapted, Net


class _Members(torch.autograd.Function):
    """One-hot rows with as many classes as the labels show, over all episodes where there are several."""

    @staticmethod
    def forward(y: Tensor) -> Tensor:
        return one_hot(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], y: Tensor) -> tuple[Tensor, int]:
        return _Members.apply(y.movedim(in_dims[0], 0)), 0


def members(y: Tensor, like: Tensor) -> Tensor:
    """Mark the class of each row by a 1 among zeros, ``(S, N)``, in the type of ``like``.

    There are as many classes as the largest label says.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
    """
    return _Members.apply(y).to(like.dtype)


def class_means(z: Tensor, marks: Tensor) -> Tensor:
    """Average the features of each class, ``(N, D)``; those of a class without rows are 0."""
    return marks.T @ z / marks.sum(0).clamp(min=1)[:, None]


def linear_head(net: Net, task: str) -> nn.Linear:
    """Return a head whose weights can be replaced by others; ``TypeError`` where it has none such."""
    head = net.head(task)
    if not isinstance(head, nn.Linear) or head.bias is None:
        raise wrong(
            f"head {task!r}",
            expected="a linear layer with a bias",
            found=type(head).__name__,
            error=TypeError,
        )
    return head


def with_linear(net: Net, task: str, weight: Tensor, bias: Tensor) -> Adapted:
    """Return a net with other weights in its linear head."""
    return Adapted(net, task, {f"heads.{task}.weight": weight, f"heads.{task}.bias": bias})


def with_head(net: Net, task: str, head: nn.Module, weights: Mapping[str, Tensor]) -> Adapted:
    """Return a net with another head in place of a task's, and the weights of that head."""
    net.head(task)  # an unknown task is named
    other = Net(net.backbone, {task: head})
    return Adapted(other, task, {f"heads.{task}.{name}": value for name, value in weights.items()})
