"""Losses weighed before the one gradient is taken.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..errors import unknown, wrong
from ..models import Net
from ..seams import LossWeighing


class PerTask(nn.Module):
    """Keep something for each of several tasks, in a fixed order; the base of such a weighing.

    Derive from it, and write ``forward``, from losses ``(K,)`` to a scalar or from a Gramian ``(K, K)`` to
    weights ``(K,)``. All tasks are there at every step: the loss of one that is absent is NaN and must add
    nothing, and its gradient is zero. What it keeps are parameters and buffers, and so part of checkpoints.

    Args:
        names: the tasks, in the order of the losses, distinct.

    Shape:
        losses ``(K,)``; returns a scalar. Or Gramian ``(K, K)``; returns ``(K,)``.

    Raises:
        ValueError: if names are missing or not distinct.

    Example:
        >>> class Mean(PerTask):
        ...     def forward(self, losses):
        ...         return losses.nansum() / len(self.names)
        >>> Mean(["a", "b"])(torch.tensor([1.0, 3.0])).item()
        2.0

    References:
        Kendall, Gal & Cipolla (CVPR 2018) is such a weighing, https://arxiv.org/abs/1705.07115
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        if not self.names or len(set(self.names)) != len(self.names):
            raise wrong("`names`", expected="at least one, all distinct", found=list(names))

    def checked(self, losses: Tensor) -> Tensor:
        """Tell which tasks are there ``(K,)``; ``ValueError`` if the losses are not those of the names."""
        if losses.shape != (len(self.names),):
            raise wrong(
                "`losses`", expected=f"({len(self.names)},), NaN where absent", found=tuple(losses.shape)
            )
        return ~losses.isnan()


def weighted(weighing: LossWeighing) -> _Weighted:
    r"""Build a combine that turns the losses into one and takes its gradient, at the cost of one backward.

    .. math:: \text{grad} = \nabla \, \text{weighing}(L_1, \dots, L_K)

    Args:
        weighing: from losses ``(K,)`` to a scalar to lower. A plain function gets the losses that
            are there; one with ``names``, as a ``PerTask`` has them, gets all of its tasks, with NaN for
            an absent one.

    Shape:
        the combine takes ``losses``, scalars by name, and the net.

    Raises:
        KeyError: if a weighing with ``names`` does not know that of a loss.
        FloatingPointError: if a loss is not finite; the message names it, and no gradient is filled.

    Example:
        >>> net = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1), "b": nn.Linear(2, 1)})
        >>> x = torch.ones(3, 2)
        >>> geometric = weighted(lambda losses: losses.log().mean())
        >>> geometric({"a": net(x, "a").square().mean(), "b": net(x, "b").square().mean()}, net)
        >>> net.backbone.weight.grad.shape
        torch.Size([2, 2])

    References:
        Kurin et al. (NeurIPS 2022), In defense of the unitary scalarization, https://arxiv.org/abs/2201.04122
    """
    return _Weighted(weighing)


class _Weighted(nn.Module):
    def __init__(self, weighing: LossWeighing) -> None:
        super().__init__()
        self.weighing = weighing

    def forward(self, losses: Mapping[str, Tensor], net: Net) -> None:
        """Fill ``.grad``."""
        if not losses:
            return
        check_finite(losses)
        names = getattr(self.weighing, "names", tuple(losses))
        for name in losses:
            if name not in names:
                raise unknown("loss", name, names, error=KeyError)
        absent = next(iter(losses.values())).new_full((), torch.nan)
        self.weighing(torch.stack([losses.get(name, absent) for name in names])).backward()


def check_finite(losses: Mapping[str, Tensor]) -> None:
    """Raise ``FloatingPointError`` naming the first loss that is not finite, since NaN means absent."""
    if bool(torch.stack([loss.detach() for loss in losses.values()]).isfinite().all()):
        return
    name = next(name for name, loss in losses.items() if not bool(loss.isfinite()))
    raise wrong(
        f'loss "{name}"',
        expected="finite",
        found=losses[name].item(),
        hint="lower the step size, or leave the task out of the batch",
        error=FloatingPointError,
    )
