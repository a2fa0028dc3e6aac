"""Both sides normalised together.

Shapes: ``B`` source rows, ``C`` target rows, ``D`` features.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..models import Net
from ..models.net import Given
from ..seams import Objective
from ..tasks import Inputs, Labelled, Shift
from ..tasks.nouns import join, rows


class OnePass(nn.Module):
    """Send source and target through the backbone in one pass, so that they share batch statistics.

    The objectives of this room send each side through by itself: batch normalisation then goes by the
    statistics of that side. In one pass it goes by those of both, which leaves the difference of the sides to
    the objective, and another method for it. Without batch normalisation both are the same.

    Args:
        objective: of this room, which reads features: each but ``SHOT`` and ``ADDA``, which meet one side,
            and ``AdaMatch``, which has a policy of its own.

    Shape:
        source rows ``(B, *)`` and target rows ``(C, *)``; the losses are those of the objective.

    Example:
        >>> import torch
        >>> from headstart.domains import CMD
        >>> from headstart.tasks import Multiclass, Task
        >>> rows = Labelled(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
        >>> net = Net(nn.BatchNorm1d(3), {"photos": nn.Linear(3, 2)})
        >>> method = OnePass(CMD(Task("photos", Multiclass(2), rows)))
        >>> sorted(method(net, Shift(rows, Inputs(torch.randn(5, 3))), 0.5))
        ['cmd', 'label']

    References:
        Chang et al. (CVPR 2019), section 3, on both ways, https://arxiv.org/abs/1906.03950
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, net: Net, batch: Shift, progress: float) -> dict[str, Tensor]:
        """Return the losses of the objective, on features of both sides that were made together."""
        z, many = net.features(join(batch.source.x, batch.target.x)), rows(batch.source.x)
        source = Labelled(z[:many], batch.source.y, group=batch.source.group)
        return self.objective(
            Net(Given(), dict(net.heads.items())), Shift(source, Inputs(z[many:])), progress
        )
