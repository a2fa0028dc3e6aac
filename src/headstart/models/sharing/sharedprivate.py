"""What all tasks have in common, beside what is a task's own.

Shapes: ``B`` rows, ``D`` shared features, ``E`` private ones, ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import wrong
from ...maths import ReverseGradient, unit
from ...tasks import X
from .pattern import Both, Pattern, one_width, width


@final
class SharedPrivate(Pattern):
    r"""Put the features of one encoder for all tasks beside those of one for each.

    Two losses of the net's own keep the two parts apart. A discriminator learns to tell from the shared
    features which task a row is of; its reversed gradient, times :math:`\lambda`, takes that out of them
    (``adversary``, in nats per row). And shared and private features of a row are not to say the same
    (``orthogonality``, in [0, 1]): with rows centred and scaled to length 1,

    .. math:: \gamma\, \frac1K \sum_t \Big| \tfrac1{B_t} S_t^\top P_t \Big|_F^2

    Tasks that have the very same rows cannot be told apart by them, so there is then no ``adversary``.

    Args:
        shared: the encoder of all tasks.
        private: an encoder of the same rows for each task, by its name; of one width.
        adversary: :math:`\lambda`, at least 0. It scales the reversed gradient, not the value.
        orthogonality: :math:`\gamma`, at least 0.
        x: one row or more, for encoders that do not tell their width.

    Shape:
        rows ``(B, *)`` to ``(B, D + E)``.

    Raises:
        ValueError: if the private encoders' widths differ, or a weight is below 0.

    Differs from the papers:
        features are centred and scaled before their products are taken, so that ``orthogonality`` does not
        shrink by shrinking them; the private parts take no part in the discriminator, as in Liu et al.

    Example:
        >>> from headstart.models import Net, mlp
        >>> both = SharedPrivate(mlp(3, hidden=[8]), {t: mlp(3, hidden=[4]) for t in ("a", "b")})
        >>> net = Net(both, {"a": nn.Linear(12, 2), "b": nn.Linear(12, 1)})
        >>> net(torch.zeros(4, 3), "a").shape
        torch.Size([4, 2])

    References:
        Liu, Qiu & Huang (ACL 2017), https://aclanthology.org/P17-1001
        Bousmalis et al. (NeurIPS 2016), https://arxiv.org/abs/1608.06019
    """

    name = "multitask:shared-private"

    def __init__(
        self,
        shared: nn.Module,
        private: Mapping[str, nn.Module],
        *,
        adversary: float = 0.05,
        orthogonality: float = 0.01,
        x: X | None = None,
    ) -> None:
        weights = {"adversary": adversary, "orthogonality": orthogonality}
        super().__init__({"shared": shared, "private": dict(private), **weights}, list(private))
        for name, value in weights.items():
            if not 0 <= value < float("inf"):
                raise wrong(f"`{name}`", expected="at least 0 and finite", found=value)
        self.adversary, self.orthogonality = adversary, orthogonality
        own, common = one_width(private, x), width(shared, x)
        self.width = common + own
        self.shared, self.own = shared, nn.ModuleDict(dict(private))
        self.discriminator = nn.Linear(common, len(self.tasks))

    def several(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the features of each task."""
        common = self.shared(x)
        return {task: torch.cat([common, self.own[task](x)], 1) for task in tasks}

    def together(self, x: Mapping[str, X], progress: float) -> Both:
        """Return the features, ``orthogonality`` and, of tasks with rows of their own, ``adversary``."""
        features, _ = super().together(x, progress)
        common = self.discriminator.in_features
        parts = {task: (z[:, :common], z[:, common:]) for task, z in features.items()}
        each = [products(one, other) for one, other in parts.values()]
        losses = {"orthogonality": self.orthogonality * torch.stack(each).mean()}
        if len(x) > 1 and len({id(rows) for rows in x.values()}) == len(x):
            z = torch.cat([one for one, _ in parts.values()])
            of = [torch.full((len(one),), self.tasks.index(t)) for t, (one, _) in parts.items()]
            logits = self.discriminator(ReverseGradient.apply(z, self.adversary))
            losses["adversary"] = F.cross_entropy(logits, torch.cat(of).to(z.device))
        return features, losses

    def private(self) -> list[nn.Module]:
        """List the tasks' own encoders."""
        return [self.own[task] for task in self.tasks]


def products(one: Tensor, other: Tensor) -> Tensor:
    r"""Return :math:`|S^\top P / B|_F^2` of rows that are centred and scaled to length 1."""
    s, p = (unit(z - z.mean(0)) for z in (one, other))
    return (s.T @ p / len(s)).square().sum()
