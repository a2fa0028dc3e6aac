"""Experts for all tasks and for each, in levels.

Shapes: ``B`` rows, ``D`` features, ``N`` experts that a gate mixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from ...errors import wrong
from ...tasks import X
from .mmoe import Gate
from .pattern import Pattern, check_takes, one_width

Levels = Sequence[Sequence[nn.Module]]


@final
class PLE(Pattern):
    r"""Share some experts, keep others for each task, and let them part level by level.

    At each level a task's gate mixes its own experts and the shared ones, and the gate of the shared part
    mixes the experts of all tasks and the shared ones. What a gate gives is what the next level's experts
    read; the last level needs no gate of the shared part.

    .. math:: h_t^{l} = \mathrm{gate}_t^l\big(e_t^l(h_t^{l-1}),\, e_s^l(h_s^{l-1})\big), \qquad
        h_s^{l} = \mathrm{gate}_s^l\big(e_1^l(h_1^{l-1}), \dots, e_K^l(h_K^{l-1}),\, e_s^l(h_s^{l-1})\big)

    One level is customised gate control (CGC).

    Args:
        shared: the shared experts of each level; those of the first read rows, later ones the features of the
            level before.
        own: by task, its own experts of each level.
        x: one row or more, for encoders of the first level that do not tell their width.

    Shape:
        rows ``(B, *)`` to ``(B, D)``.

    Raises:
        ValueError: if the levels are not as many for all, or the experts of a level differ in width, or those
            of the next do not take it.

    Differs from the paper:
        a gate reads what the experts give, as in ``MMoE``, not what they read.

    Example:
        >>> from headstart.models import Net, mlp
        >>> def experts(): return [[mlp(3, hidden=[8])], [mlp(8, hidden=[8])]]
        >>> net = Net(PLE(experts(), {"a": experts(), "b": experts()}), {"a": nn.Linear(8, 2)})
        >>> net(torch.zeros(4, 3), "a").shape
        torch.Size([4, 2])

    References:
        Tang et al. (RecSys 2020), https://doi.org/10.1145/3383313.3412236
    """

    name = "multitask:ple"

    def __init__(self, shared: Levels, own: Mapping[str, Levels], *, x: X | None = None) -> None:
        arguments = {
            "shared": list(map(list, shared)),
            "own": {t: list(map(list, e)) for t, e in own.items()},
        }
        super().__init__(arguments, list(own))
        depths = {"shared": len(shared)} | {task: len(levels) for task, levels in own.items()}
        if len(set(depths.values())) > 1 or not len(shared):
            raise wrong("levels of PLE", expected="as many for all, at least one", found=depths)
        widths = [self._width(level, shared, own, x) for level in range(len(shared))]
        self.width = widths[-1]
        self.shared = nn.ModuleList(nn.ModuleList(experts) for experts in shared)
        self.own = nn.ModuleDict({t: nn.ModuleList(nn.ModuleList(e) for e in own[t]) for t in self.tasks})
        self.gates = nn.ModuleDict({t: nn.ModuleList() for t in self.tasks})
        self.shared_gates = nn.ModuleList()
        for level, width in enumerate(widths):
            for task in self.tasks:
                self.gates[task].append(Gate(len(shared[level]) + len(own[task][level]), width))  # type: ignore[operator]
            if level < len(widths) - 1:
                every = len(shared[level]) + sum(len(levels[level]) for levels in own.values())
                self.shared_gates.append(Gate(every, width))

    def _width(self, level: int, shared: Levels, own: Mapping[str, Levels], x: X | None) -> int:
        """Tell the width of a level's experts, all of which take what the level before gives."""
        experts = {f"shared expert {i}": expert for i, expert in enumerate(shared[level])}
        experts |= {
            f"expert {i} of {t!r}": e for t, levels in own.items() for i, e in enumerate(levels[level])
        }
        if len(shared[level]) == 0 or any(len(levels[level]) == 0 for levels in own.values()):
            found = f"{len(experts)} in all"
            raise wrong(f"level {level} of PLE", expected="an expert shared and for each task", found=found)
        if level == 0:
            return one_width(experts, x)
        before = self._width(level - 1, shared, own, x)
        for name, expert in experts.items():
            check_takes(expert, before, f"level {level} of PLE, {name},")
        return one_width(experts, torch.zeros(1, before))

    def several(self, x: X, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the features of some tasks; but for the last level the experts of all tasks run."""
        inputs: dict[str, X] = dict.fromkeys(self.tasks, x)
        for level in range(len(self.shared)):
            last = level == len(self.shared) - 1
            shared = [expert(x) for expert in self.shared[level]]  # type: ignore[attr-defined]
            own = {
                task: [expert(inputs[task]) for expert in self.own[task][level]]  # type: ignore[index]
                for task in (tasks if last else self.tasks)
            }
            inputs = {
                task: self.gates[task][level](torch.stack([*own[task], *shared], 1))  # type: ignore[index]
                for task in own
            }
            if not last:
                every = [found for task in self.tasks for found in own[task]]
                x = self.shared_gates[level](torch.stack([*every, *shared], 1))
        return {task: inputs[task] for task in tasks}  # type: ignore[misc]

    def private(self) -> list[nn.Module]:
        """List the experts and gates of each task that no shared part reads: those of the last level."""
        return [part for t in self.tasks for part in (self.own[t][-1], self.gates[t][-1])]  # type: ignore[index]
