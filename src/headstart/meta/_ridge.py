"""R2D2: the ridge regression of the support set, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from ..errors import wrong
from ..models import Adapted, Net
from ..tasks import Labelled
from ._members import linear_head, members, with_linear


@final
class Ridge(nn.Module):
    r"""Solve for the head by ridge regression, and learn features for which that does well.

    .. math:: W = Z^\top (Z Z^\top + \lambda I)^{-1} Y

    with the features :math:`Z` of the support set and its targets :math:`Y`: ones for the row's class, or
    numbers. The answers are :math:`z W + \beta`; for classes they are logits, :math:`\alpha z W + \beta`. The
    penalty :math:`\lambda`, the scale :math:`\alpha` and :math:`\beta` are learned with the features.

    Args:
        task: the head that is solved for, a linear layer with a bias.
        penalty: :math:`\lambda` to start from, above 0.
        scale: :math:`\alpha` to start from, above 0.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``, or numbers ``(S,)`` or ``(S, O)``; the result
        maps ``(Q, *)`` to ``(Q, N)`` or ``(Q, O)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
        TypeError: if the head is not a linear layer with a bias.
        ValueError: if ``penalty`` or ``scale`` is not above 0.

    Example:
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> Ridge("coins")(net, support)(torch.randn(5, 4)).shape
        torch.Size([5, 2])

    References:
        Bertinetto et al. (ICLR 2019), equations 4 to 6, https://arxiv.org/abs/1805.08136
    """

    def __init__(self, task: str, penalty: float = 1.0, scale: float = 10.0) -> None:
        super().__init__()
        check_positive(penalty=penalty, scale=scale)
        self.task = task
        self.settings: Mapping[str, Any] = {"task": task, "penalty": penalty, "scale": scale}
        self.log_penalty = nn.Parameter(torch.tensor(penalty).log())
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.shift = nn.Parameter(torch.zeros(()))

    def extra_repr(self) -> str:
        """Tell the settings, by which starts of a comparison are told apart."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())

    def forward(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the solution as its head."""
        linear_head(net, self.task)
        z, y = net.features(support.x, self.task), support.y
        if y.is_floating_point():
            weight = _solve(z, y if y.ndim == 2 else y[:, None], self.log_penalty.exp()).T
        else:
            weight = self.log_scale.exp() * _solve(z, members(y, z), self.log_penalty.exp()).T
        return with_linear(net, self.task, weight, self.shift.expand(len(weight)))


def _solve(z: Tensor, y: Tensor, penalty: Tensor) -> Tensor:
    """Return the weights ``(D, O)``, by whichever of two equal systems is the smaller one."""
    rows, columns = z.shape
    if rows <= columns:
        return z.T @ torch.linalg.solve(z @ z.T + penalty * torch.eye(rows).to(z), y)
    return torch.linalg.solve(z.T @ z + penalty * torch.eye(columns).to(z), z.T @ y)


def check_positive(**settings: float) -> None:
    """Raise ``ValueError`` where one of some settings is not above 0."""
    for name, value in settings.items():
        if not value > 0:
            raise wrong(f"`{name}`", expected="above 0", found=value)
