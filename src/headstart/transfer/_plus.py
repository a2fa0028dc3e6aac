"""Several objectives on the same batch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..errors import wrong
from ..models import Net
from ..seams import Objective, learned


class Plus(nn.Module):
    r"""Lower several objectives on the same batch.

    .. math:: L = \sum_i L_i

    The losses come apart, under the names that the parts give them.

    Args:
        objectives: functions, settings or modules of the signature ``(net, batch, progress)``.

    Shape:
        a batch that all parts take; returns all their scalars.

    Raises:
        ValueError: if there is no part, or two parts give a loss the same name.

    Example:
        >>> import torch
        >>> net = Net(nn.Linear(2, 2), {"a": nn.Linear(2, 1)})
        >>> one = lambda net, batch, progress: {"one": torch.ones(())}
        >>> two = lambda net, batch, progress: {"two": torch.ones(())}
        >>> sorted(Plus(one, two)(net, None, 0.0))
        ['one', 'two']

    References:
        Caruana (Machine Learning 1997), Multitask learning, https://doi.org/10.1023/A:1007379606734
    """

    def __init__(self, *objectives: Objective) -> None:
        super().__init__()
        if not objectives:
            raise wrong("`objectives`", expected="at least one", found="none")
        self.objectives = objectives
        self.learned = nn.ModuleList(learned(*objectives))

    def forward(self, net: Net, batch: Any, progress: float) -> dict[str, Tensor]:
        """Return the losses of all parts."""
        losses: dict[str, Tensor] = {}
        for objective in self.objectives:
            new = objective(net, batch, progress)
            if clash := losses.keys() & new.keys():
                raise wrong(
                    "names of losses", expected="distinct", found=f"{sorted(clash)} from two objectives"
                )
            losses |= new
        return losses
