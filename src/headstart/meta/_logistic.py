"""A convex head that is solved to its optimum: logistic regression of one class against the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..models import Adapted, Net
from ..tasks import Labelled
from ._members import linear_head, members, with_linear
from ._ridge import check_positive

STEPS, HALVINGS = 12, 8  # Newton's, each of the best of so many lengths: digits double, ten are plenty


@final
class Logistic(nn.Module):
    r"""Solve for the head by logistic regression of each class against the others, with a penalty.

    .. math:: \min_w \sum_i \log\bigl(1 + e^{-t_i w^\top z_i}\bigr) + \tfrac{\lambda}{2} \lVert w \rVert^2

    Features :math:`z` have a 1 added to them, for the bias. The optimum is found by Newton's method over the
    support rows, so its cost hardly depends on the number of features, and differentiated as what it is, by
    the implicit function theorem: no step is kept. It has the role that a support vector machine has in
    MetaOptNet, without a solver for quadratic programs. The penalty and the scale of the logits are learned
    with the features.

    Args:
        task: the head that is solved for, a linear layer with a bias.
        penalty: :math:`\lambda` to start from, above 0.
        scale: of the logits, to start from, above 0.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``; the result maps ``(Q, *)`` to logits ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.
        TypeError: if the head is not a linear layer with a bias.
        ValueError: if ``penalty`` or ``scale`` is not above 0.

    Differs from the paper:
        LR-D2 unrolls a few reweighted steps for two classes; here any number of classes is solved to the end.

    Example:
        >>> net = Net(nn.Linear(4, 8), {"coins": nn.Linear(8, 2)})
        >>> support = Labelled(torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> Logistic("coins")(net, support)(torch.randn(5, 4)).shape
        torch.Size([5, 2])

    References:
        Lee et al. (CVPR 2019), section 3, https://arxiv.org/abs/1904.03758;
        Bertinetto et al. (ICLR 2019), section 3.3, https://arxiv.org/abs/1805.08136
    """

    def __init__(self, task: str, penalty: float = 1.0, scale: float = 1.0) -> None:
        super().__init__()
        check_positive(penalty=penalty, scale=scale)
        self.task = task
        self.settings: Mapping[str, Any] = {"task": task, "penalty": penalty, "scale": scale}
        self.log_penalty = nn.Parameter(torch.tensor(penalty).log())
        self.log_scale = nn.Parameter(torch.tensor(scale).log())

    def forward(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the optimum as its head."""
        linear_head(net, self.task)
        z = net.features(support.x, self.task)
        z = torch.cat([z, torch.ones_like(z[:, :1])], 1)
        kernel, y, penalty = z @ z.T, members(support.y, z).T, self.log_penalty.exp()
        with torch.no_grad():
            best = _newton(kernel, y, penalty)  # (N, S)
            system = _system(kernel, best @ kernel, penalty)
        # Zero in value; its slope is that of the optimum, at which `penalty a = y - p`.
        slope = torch.linalg.solve(system, y - (best @ kernel).sigmoid() - penalty * best)
        weight = self.log_scale.exp() * ((best + slope) @ z)
        return with_linear(net, self.task, weight[:, :-1], weight[:, -1])


def _system(kernel: Tensor, logits: Tensor, penalty: Tensor) -> Tensor:
    """Return Newton's system for every class, ``(N, S, S)``, of logits ``(N, S)``."""
    p = logits.sigmoid()
    return (p * (1 - p))[:, :, None] * kernel + penalty * torch.eye(len(kernel)).to(kernel)


def _newton(kernel: Tensor, y: Tensor, penalty: Tensor) -> Tensor:
    """Return the coefficients of the rows ``(N, S)`` at the optimum, for targets 0 and 1 ``(N, S)``."""
    lengths = 0.5 ** torch.arange(HALVINGS).to(kernel)

    def height(a: Tensor) -> Tensor:
        f = a @ kernel
        return (softplus(f) - y * f).sum(-1) + penalty / 2 * (a * f).sum(-1)

    a = torch.zeros_like(y)
    for _ in range(STEPS):
        f = a @ kernel
        p = f.sigmoid()
        full = torch.linalg.solve(_system(kernel, f, penalty), p * (1 - p) * f + y - p)
        tried = a + lengths[:, None, None] * (full - a)  # (lengths, N, S)
        best = height(tried).argmin(0)  # (N,)
        a = tried.take_along_dim(best[None, :, None], 0)[0]
    return a
