"""A way through blocks for each task, which is learned.

Shapes: ``B`` rows, ``D`` features, ``K`` tasks, ``N`` encoders that blocks are taken from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import wrong
from ...maths import random
from ...tasks import X
from .chain import Block, chains, check_shapes, through
from .pattern import Both, Pattern, alike, one_width

LAST = 0.1  # of the first temperature that is left at the end


@final
class Routed(Pattern):
    r"""Learn which blocks tasks share: at each depth every task picks one of several alike blocks.

    A gate for each task and depth holds a logit for each candidate. In training the pick is relaxed: what the
    candidates give is mixed by shares, drawn anew at each step and sharper as the run goes on (Gumbel),

    .. math:: \mathrm{softmax}\big((a + G) / \tau\big), \qquad \tau = \tau_0 \, 0.1^{\text{progress}}

    In eval mode a task runs the likeliest block of each depth alone. A loss of the net's own, ``routing``,
    makes blocks cost: :math:`\lambda` times the share of blocks beyond one per depth that some task is
    expected to use, so tasks go the same way unless it pays to part. ``pattern()`` tells what was learned.

    Args:
        encoders: candidates for every depth: chains of as many blocks with results of the same shapes.
        tasks: their names.
        sparsity: :math:`\lambda`, at least 0.
        temperature: :math:`\tau_0`, above 0.
        seed: of the noise, which is a function of it and of the run's progress: no state, no global numbers.
        x: one row or more, for encoders that do not tell their width.

    Shape:
        rows ``(B, *)`` to ``(B, D)``.

    Raises:
        ValueError: if an encoder is no chain, the encoders part in their blocks or widths, or a number is out
            of range; at the first rows, where the shapes between two blocks do, saying at which.

    Differs from the papers:
        AdaShare drops blocks of one residual net, and Learning to Branch grows a tree; here a task may take
        any block of a depth, whatever the block before, so that no block has to keep the shape of its input.

    Example:
        >>> from headstart.models import Net, mlp
        >>> net = Net(Routed([mlp(3, hidden=[8, 8]) for _ in range(2)], ["a", "b"]), {"a": nn.Linear(8, 2)})
        >>> net.eval()(torch.zeros(4, 3), "a").shape, net.backbone.pattern()
        (torch.Size([4, 2]), {'a': [0, 0], 'b': [0, 0]})

    References:
        Sun et al. (NeurIPS 2020), https://arxiv.org/abs/1911.12423
        Guo, Lee & Ulbricht (ICML 2020), https://arxiv.org/abs/2006.01895
        Jang, Gu & Poole (ICLR 2017), https://arxiv.org/abs/1611.01144
    """

    name = "multitask:routed"

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        tasks: Sequence[str],
        *,
        sparsity: float = 0.05,
        temperature: float = 1.0,
        seed: int = 0,
        x: X | None = None,
    ) -> None:
        numbers = {"sparsity": sparsity, "temperature": temperature, "seed": seed}
        super().__init__({"encoders": list(encoders), "tasks": list(tasks), **numbers}, tasks)
        if not 0 <= sparsity < float("inf"):
            raise wrong("`sparsity`", expected="at least 0 and finite", found=sparsity)
        if not 0 < temperature < float("inf"):
            raise wrong("`temperature`", expected="above 0 and finite", found=temperature)
        self.sparsity, self.temperature, self.seed = sparsity, temperature, seed
        named = {str(i): encoder for i, encoder in enumerate(encoders)}
        self.width = one_width(named, x)
        depth = len(next(iter(chains(named).values())))
        self.encoders = nn.ModuleList(encoders)
        self.logits = nn.Parameter(torch.zeros(len(self.tasks), depth, len(named)))  # (K, depth, N)

    def pattern(self) -> dict[str, list[int]]:
        """Tell which encoder's block each task takes at each depth: a plain value, to print or to draw."""
        return dict(zip(self.tasks, self.logits.detach().argmax(2).tolist(), strict=True))

    def cost(self) -> Tensor:
        """Return the expected share of blocks beyond one per depth that some task uses, in [0, 1]."""
        p = self.logits.softmax(2)
        used = (1 - (1 - p).prod(0)).sum(1)  # (depth,)
        return ((used - 1) / max(1, min(p.shape[2], p.shape[0]) - 1)).mean()

    def several(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the features of some tasks: along the likeliest blocks, or mixed as likely in training."""
        if self.training:
            return self._mixed(x, tasks, self.logits.softmax(2))
        if torch.compiler.is_compiling():  # a graph has no values to pick by
            alone = F.one_hot(self.logits.argmax(2), self.logits.shape[2])
            return self._mixed(x, tasks, alone.to(self.logits))
        return self._picked(x, tasks)

    def together(self, x: Mapping[str, X], progress: float) -> Both:
        """Return the features, in training by the shares that are drawn at this step, and ``routing``."""
        losses = {"routing": self.sparsity * self.cost()}
        if not self.training:
            return super().together(x, progress)[0], losses
        draws = random.generator(self.seed, f"{progress:.12g}")
        uniform = torch.rand(self.logits.shape, generator=draws).clamp(1e-6, 1 - 1e-6)
        noise = -(-uniform.log()).log()
        sharp = self.temperature * LAST**progress
        shares = ((self.logits + noise.to(self.logits)) / sharp).softmax(2)
        features: dict[str, Tensor] = {}
        for rows, tasks in alike(x):
            features |= self._mixed(rows, tasks, shares)
        return features, losses

    def _blocks(self) -> list[list[Block]]:
        return list(chains({str(i): encoder for i, encoder in enumerate(self.encoders)}).values())

    def _mixed(self, x: X, tasks: Sequence[str], shares: Tensor) -> dict[str, Tensor]:
        blocks, features = self._blocks(), {}
        first = self._at(blocks, 0, x)
        for task in tasks:
            own = shares[self.tasks.index(task)]
            now = torch.tensordot(own[0], first, 1)
            for depth in range(1, own.shape[0]):
                now = torch.tensordot(own[depth], self._at(blocks, depth, now), 1)
            features[task] = now
        return features

    def _at(self, blocks: list[list[Block]], depth: int, x: X) -> Tensor:
        found = {str(i): through(one[depth], x) for i, one in enumerate(blocks)}
        check_shapes(found, depth)
        return torch.stack([*found.values()])

    def _picked(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Run each block once for all tasks that came to it on the same way."""
        blocks, pattern, done = self._blocks(), self.pattern(), dict[tuple[int, ...], Tensor]()
        for task in tasks:
            now: X = x
            for depth, at in enumerate(pattern[task]):
                way = tuple(pattern[task][: depth + 1])
                if way not in done:
                    done[way] = through(blocks[at][depth], now)
                now = done[way]
        return {task: done[tuple(pattern[task])] for task in tasks}
