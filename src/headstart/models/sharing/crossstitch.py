"""An encoder for each task, with learned mixing between their blocks.

Shapes: ``B`` rows, ``D`` features, ``K`` tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from ...errors import wrong
from ...tasks import X
from .chain import chains, check_shapes, through
from .pattern import Pattern, one_width


@final
class CrossStitch(Pattern):
    r"""Run an encoder for each task side by side, and mix what they give behind every block.

    .. math:: \tilde h_k = \sum_l \alpha^{d}_{kl}\, h_l

    The :math:`\alpha^d` of each depth are learned, from mostly the task's own on. A task's rows run through
    all encoders.

    Args:
        encoders: by task, chains of as many blocks with results of the same shapes: an ``nn.Sequential``,
            ``mlp`` or ``conv4``.
        own: what a task keeps of its own at first, in (0, 1]; the others share the rest.
        x: one row or more, for encoders that do not tell their width.

    Shape:
        rows ``(B, *)``, which every encoder takes, to ``(B, D)``.

    Raises:
        ValueError: if an encoder is no chain, or the encoders part in their blocks or widths; at the first
            rows, where the shapes between two blocks do, saying at which.

    Differs from the paper:
        one weight for each pair of tasks and block (the paper has one per channel), trained at the rate of
        all other weights (the paper: a higher one).

    Example:
        >>> from headstart.models import Net, mlp
        >>> net = Net(CrossStitch({t: mlp(3, hidden=[8, 8]) for t in ("a", "b")}), {"a": nn.Linear(8, 2)})
        >>> net(torch.zeros(4, 3), "a").shape
        torch.Size([4, 2])

    References:
        Misra et al. (CVPR 2016), https://arxiv.org/abs/1604.03539
    """

    name = "multitask:cross-stitch"

    def __init__(self, encoders: Mapping[str, nn.Module], *, own: float = 0.9, x: X | None = None) -> None:
        super().__init__({"encoders": dict(encoders), "own": own}, list(encoders))
        if not 0 < own <= 1:
            raise wrong("`own`", expected="in (0, 1]", found=own)
        self.width = one_width(encoders, x)
        depth, tasks = len(next(iter(chains(encoders).values()))), len(self.tasks)
        start = torch.full((tasks, tasks), (1 - own) / max(1, tasks - 1)).fill_diagonal_(own)
        self.encoders = nn.ModuleDict(dict(encoders))
        self.mixing = nn.Parameter(start.repeat(depth, 1, 1))  # (depth, K, K)

    def several(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the features of some tasks; all encoders run once."""
        now: dict[str, X] = dict.fromkeys(self.tasks, x)
        blocks = chains({task: self.encoders[task] for task in self.tasks})
        for depth, mixing in enumerate(self.mixing):
            found = {task: through(blocks[task][depth], now[task]) for task in self.tasks}
            check_shapes(found, depth)
            mixed = torch.tensordot(mixing, torch.stack([*found.values()]), 1)
            now = dict(zip(self.tasks, mixed, strict=True))
        return {task: now[task] for task in tasks}  # type: ignore[misc]
