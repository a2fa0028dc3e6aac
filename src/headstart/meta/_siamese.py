"""Siamese networks: the class of the nearest support row, and what such features are learned by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..errors import wrong
from ..maths import squared_distances, unit
from ..models import Adapted, Net
from ..models.heads import Nearest
from ..tasks import Episodes, Labelled
from ..tasks.nouns import join, parts
from ._members import members, with_head
from ._over import check_episodes


@final
@dataclass(frozen=True)
class Siamese:
    r"""Classify by the nearest support row, in features that tell same from different.

    .. math:: \text{logit}_k(z) = - \min_{i: y_i = k} \lVert z - z_i \rVert^2

    The features are learned by ``Contrastive`` or ``Triplet``.

    Args:
        task: the head that the support rows replace.

    Shape:
        support ``x (S, *)``, ``y (S,)`` int64 in ``[0, N)``; the result maps ``(Q, *)`` to logits ``(Q, N)``.

    Raises:
        RuntimeError: if a label is negative, so also where one is missing.

    Differs from the paper:
        features are compared by their Euclidean distance instead of a learned one.

    Example:
        >>> net = Net(torch.nn.Identity(), {"coins": torch.nn.Linear(2, 7)})
        >>> support = Labelled(torch.tensor([[0.0, 1.0], [0.0, 3.0], [5.0, 0.0]]), torch.tensor([0, 0, 1]))
        >>> Siamese("coins")(net, support)(torch.tensor([[0.0, 9.0], [4.0, 0.1]])).argmax(1).tolist()
        [0, 1]

    References:
        Koch, Zemel & Salakhutdinov (2015), https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf
    """

    task: str

    def __call__(self, net: Net, support: Labelled) -> Adapted:
        """Return ``net`` with the support rows as its head."""
        z = net.features(support.x, self.task)
        marks = members(support.y, z)
        return with_head(
            net, self.task, Nearest(len(z), marks.shape[1], z.shape[1]), {"rows": z, "members": marks}
        )


@final
@dataclass(frozen=True)
class Contrastive:
    r"""Pull rows of one class together, and push rows of two classes a margin apart.

    Over all pairs of one episode's rows, support and query together, at distance :math:`d` of features:

    .. math:: \operatorname{mean}_{\text{same}} d^2 + \operatorname{mean}_{\text{different}} \max(0, m - d)^2

    The unit of ``"contrastive"`` is a squared distance. Features are computed for all episodes at once, so
    batch normalisation in training mode goes by all rows of the step.

    Args:
        task: whose features.
        margin: :math:`m`, above 0.

    Shape:
        episodes ``x (T, S, *)`` and ``(T, Q, *)``; returns ``{"contrastive": ()}``.

    Raises:
        TypeError: if the batch is not ``Episodes``.
        ValueError: if ``margin`` is not above 0.

    Differs from the paper:
        same and different pairs count alike in sum, however many there are.

    Example:
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> rows = Labelled(torch.randn(3, 6, 4), torch.tensor([0, 1, 0, 1, 0, 1]).expand(3, -1))
        >>> Contrastive("coins")(net, Episodes(rows, rows, ways=2), 0.0)["contrastive"].shape
        torch.Size([])

    References:
        Hadsell, Chopra & LeCun (CVPR 2006), equation 4, https://ieeexplore.ieee.org/document/1640964
    """

    task: str
    margin: float = 1.0

    def __post_init__(self) -> None:
        _check_margin(self.margin)

    def __call__(self, net: Net, batch: Episodes, progress: float) -> dict[str, Tensor]:
        """Return the mean loss of the episodes as ``{"contrastive": scalar}``."""
        losses = []
        for distances, same, other in _pairs(net, self.task, batch):
            # The root of 0 has no slope, and equal rows are near enough to be apart by the whole margin.
            roots = (distances + 1e-12).sqrt()
            apart = (self.margin - roots).clamp(min=0).square()
            losses.append(_mean(distances, same) + _mean(apart, other))
        return {"contrastive": torch.stack(losses).mean()}


@final
@dataclass(frozen=True)
class Triplet:
    r"""Make every row nearer to its own class than to any other, by a margin.

    For each row of an episode as the anchor, with its farthest row of the same class and its nearest one of
    another, of features of length 1:

    .. math:: \operatorname{mean}_a \max(0, m + d_{\text{same}}^2 - d_{\text{other}}^2)

    The unit of ``"triplet"`` is a squared distance. Features are computed for all episodes at once, so batch
    normalisation in training mode goes by all rows of the step.

    Args:
        task: whose features.
        margin: :math:`m`, above 0 and below 4, the largest squared distance on the sphere.

    Shape:
        episodes ``x (T, S, *)`` and ``(T, Q, *)``; returns ``{"triplet": ()}``.

    Raises:
        TypeError: if the batch is not ``Episodes``.
        ValueError: if ``margin`` is out of range.

    Differs from the paper:
        the hardest rows of the episode are taken rather than semi-hard ones of a large batch.

    Example:
        >>> net = Net(torch.nn.Linear(4, 8), {"coins": torch.nn.Linear(8, 2)})
        >>> rows = Labelled(torch.randn(3, 6, 4), torch.tensor([0, 1, 0, 1, 0, 1]).expand(3, -1))
        >>> Triplet("coins")(net, Episodes(rows, rows, ways=2), 0.0)["triplet"].shape
        torch.Size([])

    References:
        Schroff, Kalenichenko & Philbin (CVPR 2015), equation 3, https://arxiv.org/abs/1503.03832;
        Hermans, Beyer & Leibe (2017), "batch hard", https://arxiv.org/abs/1703.07737
    """

    task: str
    margin: float = 0.2

    def __post_init__(self) -> None:
        _check_margin(self.margin)
        if not self.margin < 4:
            raise wrong("`margin`", expected="below 4", found=self.margin)

    def __call__(self, net: Net, batch: Episodes, progress: float) -> dict[str, Tensor]:
        """Return the mean loss of the episodes as ``{"triplet": scalar}``."""
        losses = []
        for distances, same, other in _pairs(net, self.task, batch, sphere=True):
            farthest = distances.masked_fill(~same, 0).amax(1)
            nearest = distances.masked_fill(~other, 4).amin(1)
            losses.append((self.margin + farthest - nearest).clamp(min=0).mean())
        return {"triplet": torch.stack(losses).mean()}


def _check_margin(margin: float) -> None:
    if not margin > 0:
        raise wrong("`margin`", expected="above 0", found=margin)


def _pairs(
    net: Net, task: str, batch: Episodes, *, sphere: bool = False
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Give for each episode the squared distances of its rows, and which pairs are of one class or of two."""
    check_episodes(batch)
    y = torch.cat([batch.support.y, batch.query.y], 1)
    x = [{n: p.flatten(0, 1) for n, p in parts(rows.x).items()} for rows in (batch.support, batch.query)]
    z = net.features(join(*(some.get("", some) for some in x)), task)
    z = unit(z) if sphere else z
    split = batch.support.y.numel()
    z = torch.cat([part.unflatten(0, (len(y), -1)) for part in (z[:split], z[split:])], 1)
    found = []
    for rows, labels in zip(z, y, strict=True):
        alike = labels[:, None] == labels
        self = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        found.append((squared_distances(rows), alike & ~self, ~alike))
    return found


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)
