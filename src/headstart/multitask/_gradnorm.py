"""Gradient normalisation.

Shapes: ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import unknown, wrong
from ..models import Net
from ..models.net import stages
from ._weighted import PerTask, check_finite

LEAST = 1e-3


class GradNorm(PerTask):
    r"""Weigh losses so that tasks train at one speed, told by the gradients of one shared layer; a combine.

    With :math:`g_k` the length of the gradient of loss ``k`` in the weights of the layer, and the
    loss ratio :math:`\tilde L_k = L_k / L_k(0)`, the weights move so that

    .. math:: w_k g_k \to \overline{w g}\; \Big( \tilde L_k \big/ \tfrac1K \sum_l \tilde L_l \Big)^\alpha,
        \qquad \sum_k w_k = K

    and the gradient is that of :math:`\sum_k w_k L_k`. Only the part of the net above the layer is gone
    through for each task. The weights and the first losses are its state.

    Args:
        names: the tasks, in the order of the losses, distinct.
        layer: a part of the net with weights, by its name as in ``net.named_modules()``; ``None`` takes the
            last of the backbone.
        alpha: how strongly a slow task is pulled, at least 0; at 0 all gradients become equally long.
        rate: how far weights move in a step, in (0, 1).

    Shape:
        the combine takes ``losses``, scalars by name, and the net.

    Raises:
        ValueError: if names are missing or not distinct, or a number is out of its range.
        KeyError: if a loss has another name, or the net no such layer.

    Differs from the paper:
        the weights move by plain steps on the absolute differences, in units of the mean gradient, instead of
        by an optimizer, and are at least 0.001; the loss at the first step stands for the theoretical one.

    Example:
        >>> from torch import nn
        >>> net = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1), "b": nn.Linear(2, 1)})
        >>> x, combine = torch.ones(3, 2), GradNorm(["a", "b"], layer="backbone")
        >>> combine({"a": net(x, "a").square().mean(), "b": 9 * net(x, "b").square().mean()}, net)
        >>> round(combine.weights.sum().item(), 3)
        2.0

    References:
        Chen et al. (ICML 2018), algorithm 1, https://arxiv.org/abs/1711.02257
    """

    def __init__(
        self, names: Sequence[str], *, layer: str | None = None, alpha: float = 1.5, rate: float = 0.025
    ) -> None:
        super().__init__(names)
        if not alpha >= 0:
            raise wrong("`alpha`", expected="at least 0", found=alpha)
        if not 0 < rate < 1:
            raise wrong("`rate`", expected="in (0, 1)", found=rate)
        self.layer, self.alpha, self.rate = layer, alpha, rate
        self.register_buffer("weights", torch.ones(len(self.names)))
        self.register_buffer("first", torch.full((len(self.names),), torch.nan))
        self.weights: Tensor
        self.first: Tensor

    def forward(self, losses: Mapping[str, Tensor], net: Net) -> None:
        """Fill ``.grad``, and move the weights."""
        for name in losses:
            if name not in self.names:
                raise unknown("loss", name, self.names, error=KeyError)
        if losses:
            check_finite(losses)
        present = {name: loss for name, loss in losses.items() if loss.requires_grad}
        if not present:
            return
        at = torch.tensor([self.names.index(name) for name in present], device=self.weights.device)
        values = torch.stack(list(present.values()))
        shared = [p for p in self._part(net).parameters() if p.requires_grad]
        if shared and len(present) > 1:
            self._move(at, values.detach().to(self.weights), self._lengths(values, shared))
        (self.weights[at].to(values) @ values).backward()

    def _part(self, net: Net) -> torch.nn.Module:
        if self.layer is None:
            return list(stages(net.backbone).values())[-1]
        parts = dict(net.named_modules())
        if self.layer not in parts:
            raise unknown("`layer`", self.layer, filter(None, parts), error=KeyError)
        return parts[self.layer]

    def _lengths(self, values: Tensor, shared: list[torch.nn.Parameter]) -> Tensor:
        """Take the length of each loss's gradient in the layer ``(k,)``."""
        lengths = []
        for value in values:
            parts = torch.autograd.grad(value, shared, retain_graph=True, allow_unused=True)
            squares = [part.square().sum() for part in parts if part is not None]
            lengths.append(torch.stack(squares).sum().sqrt() if squares else value.new_zeros(()))
        return torch.stack(lengths).to(self.weights)

    def _move(self, at: Tensor, values: Tensor, lengths: Tensor) -> None:
        first = self.first.clone()
        first[at] = torch.where(first[at].isnan(), values, first[at])
        ratios = (values / first[at]).nan_to_num(1.0).clamp_min(LEAST)
        weights, mean = self.weights.clone(), lengths.mean()
        if mean > 0:
            now = weights[at] * lengths
            wanted = now.mean() * (ratios / ratios.mean()) ** self.alpha
            moved = weights[at] - self.rate * (now - wanted).sign() * lengths / mean
            weights[at] = moved.clamp_min(LEAST)
            weights *= len(weights) / weights.sum()
        self.weights, self.first = weights, first
