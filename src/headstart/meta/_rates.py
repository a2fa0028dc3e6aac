"""Step sizes that are learned along with the start.

Both are modules: ``Episodic`` trains them with the net.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..models import Adapted, Net
from ..tasks import Labelled
from ._descent import Descent, Loss, check_steps, movable


class _Learned(nn.Module):
    """Descend with a step size of its own for each weight."""

    def __init__(
        self, net: Net, task: str, lr: float, steps: int, first_order: bool, only: str, loss: Loss
    ) -> None:
        super().__init__()
        check_steps(lr, steps)
        self.task, self.steps, self.first_order, self.only, self.loss = task, steps, first_order, only, loss
        self.settings: Mapping[str, Any] = {
            "task": task, "lr": lr, "steps": steps, "first_order": first_order, "only": only, "loss": loss,
        }  # fmt: skip
        weights = movable(net, task, only)
        self.rates = nn.ParameterDict({_key(n): self._start(w, lr, steps) for n, w in weights.items()})

    def _start(self, weight: Tensor, lr: float, steps: int) -> Tensor:
        raise NotImplementedError

    def _rate(self, rates: Tensor, step: int, weight: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the weights that fit the support set."""
        *_, last = self.path(net, support)
        return last

    def path(self, net: Net, support: Labelled) -> Iterator[Adapted]:
        """Give the net after each step."""
        return self.descent(net).path(net, support)

    def descent(self, net: Net) -> Descent:
        """Say which weights the steps move, and how."""
        weights = movable(net, self.task, self.only)
        return Descent(self.task, weights, self.loss, self._move, self.steps, self.first_order)

    def _move(self, step: int, name: str, weight: Tensor, gradient: Tensor) -> Tensor:
        return weight - self._rate(self.rates[_key(name)], step, weight) * gradient


def _key(name: str) -> str:
    return name.replace(".", "/")  # names of parameters have no dots


@final
class MetaSGD(_Learned):
    r"""Adapt by gradient steps with a learned step size for every single number of the net.

    .. math:: \theta' = \theta - \alpha \circ \nabla_\theta L_S(\theta)

    Start :math:`\theta` and step sizes :math:`\alpha`, which may turn negative, are learned together.

    Args:
        net: whose trainable weights get step sizes.
        task: head to use.
        lr: what all step sizes start from, above 0.
        steps: inner steps, at least 1; all use the same step sizes.
        first_order: leave out second derivatives.
        only: adapt only weights whose name starts with this.
        loss: from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Raises:
        ValueError: if a setting is out of range, or no trainable weight's name starts with ``only``.

    Differs from the paper:
        several steps are allowed; a head of another number of classes than it was learned for moves by the
        mean of its step sizes.

    Example:
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> MetaSGD(net, "coins", lr=0.1)(net, support)(torch.randn(5, 4)).shape
        torch.Size([5, 2])

    References:
        Li et al. (2017), algorithm 1, https://arxiv.org/abs/1707.09835
    """

    def __init__(
        self,
        net: Net,
        task: str,
        lr: float = 0.01,
        steps: int = 1,
        first_order: bool = False,
        only: str = "",
        loss: Loss = cross_entropy,
    ) -> None:
        super().__init__(net, task, lr, steps, first_order, only, loss)

    def _start(self, weight: Tensor, lr: float, steps: int) -> Tensor:
        return torch.full_like(weight, lr)

    def _rate(self, rates: Tensor, step: int, weight: Tensor) -> Tensor:
        return rates if rates.shape == weight.shape[weight.ndim - rates.ndim :] else rates.mean()


@final
class LSLR(_Learned):
    r"""Adapt by gradient steps with a learned step size for every layer's weight and every step.

    .. math:: \theta_l^{(i+1)} = \theta_l^{(i)} - \alpha_{l,i} \nabla_{\theta_l} L_S(\theta^{(i)})

    One of the parts of MAML++. Two others are ``MultiStep``, which judges every step, and the annealing of
    the derivative's order, which is two calls of ``fit``: with ``first_order=True`` for the first third or so
    of the training, and then without.

    Args:
        net: whose trainable weights get step sizes.
        task: head to use.
        lr: what all step sizes start from, above 0.
        steps: inner steps, at least 1.
        first_order: leave out second derivatives.
        only: adapt only weights whose name starts with this.
        loss: from outputs ``(S, O)`` and targets ``(S, ...)`` to a scalar.

    Shape:
        support ``x (S, *)``, ``y (S, ...)``; the result maps ``(Q, *)`` to ``(Q, O)``.

    Raises:
        ValueError: if a setting is out of range, or no trainable weight's name starts with ``only``.

    Differs from the paper:
        a weight and a bias of one layer have step sizes of their own, as in the authors' code.

    Example:
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> adaptation = LSLR(net, "coins", lr=0.1, steps=3)
        >>> adaptation(net, support)(torch.randn(5, 4)).shape, len(adaptation.rates["backbone/weight"])
        (torch.Size([5, 2]), 3)

    References:
        Antoniou, Edwards & Storkey (ICLR 2019), section 4, https://arxiv.org/abs/1810.09502
    """

    def __init__(
        self,
        net: Net,
        task: str,
        lr: float = 0.01,
        steps: int = 5,
        first_order: bool = False,
        only: str = "",
        loss: Loss = cross_entropy,
    ) -> None:
        super().__init__(net, task, lr, steps, first_order, only, loss)

    def _start(self, weight: Tensor, lr: float, steps: int) -> Tensor:
        return weight.new_full((steps,), lr)

    def _rate(self, rates: Tensor, step: int, weight: Tensor) -> Tensor:
        return rates[step]
