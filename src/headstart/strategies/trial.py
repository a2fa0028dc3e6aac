"""One strategy, once: what it is given, and the few moves that several strategies share.

Shapes: ``B`` rows, ``D`` features, ``C`` classes.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from .. import models
from ..datasets import rotations
from ..engine import Run, cached_features, fit, seeded
from ..errors import wrong
from ..models import Net, freeze, parameter_groups, unfreeze
from ..seams import Objective
from ..tasks import Labelled, Stream, Task, X, batches
from ..tasks.nouns import take
from ..transfer import Supervised
from .problem import Problem, build

Curves = dict[str, list[float]]


@dataclass(frozen=True, eq=False)
class Trained:
    """What a strategy hands back: the net, and the losses of its phases per step."""

    net: Net
    curves: Curves


class Memory:
    """Nets that several trials of one seed start from, each made once.

    Attributes:
        spared: seconds of training that nets from memory saved their callers, so that the cost of a
            strategy can be told with its start included.
    """

    def __init__(self) -> None:
        self._made: dict[str, tuple[Net, float]] = {}
        self.spared = 0.0

    def get(self, name: str, make: Callable[[], Net]) -> Net:
        """Return a copy of the net that ``make`` gave when ``name`` was first asked for."""
        if name in self._made:
            net, seconds = self._made[name]
            self.spared += seconds
        else:
            start, before = time.perf_counter(), self.spared
            net = make()
            self._made[name] = net, time.perf_counter() - start + self.spared - before
        return copy.deepcopy(net)


@dataclass(frozen=True, eq=False)
class Trial:
    """What a strategy is given: the problem cut to size, its settings, and a seed.

    Args:
        problem: its target's training rows are those of this trial (already cut to the shots).
        settings: the strategy's one or two main settings.
        seed: of everything random in the trial.
        memory: nets that several trials of one seed start from; filled on first use.
        run: where to write checkpoints, for runs that can be resumed.
    """

    problem: Problem
    settings: Mapping[str, Any]
    seed: int
    memory: Memory = field(default_factory=Memory)
    run: Run | None = None

    @property
    def target(self) -> Task:
        """The task to learn."""
        return self.problem.target

    def generator(self, purpose: str) -> torch.Generator:
        """Make a generator for one purpose; equal purposes and seeds give equal numbers."""
        number = int.from_bytes(purpose.encode()[-7:], "big") ^ (self.seed * 0x9E3779B97F4A7C15)
        return torch.Generator().manual_seed(number & 0x7FFFFFFFFFFFFFFF)

    def net(self, backbone: nn.Module, *tasks: Task) -> Net:
        """Put a new head for the target (and for ``tasks``) on a backbone."""
        width = width_of(backbone, self.target)
        return Net(backbone, {t.name: t.kind.head(width) for t in (self.target, *tasks)})

    def fresh(self) -> Net:
        """Give the backbone with new weights, and a new head."""
        with seeded(self.seed):
            return self.net(build(self.problem, pretrained=False))

    def pretrained(self) -> Net:
        """Give the pretrained backbone, and a new head; pretrained on the sources if it came without."""
        if self.problem.comes_pretrained():
            with seeded(self.seed):
                return self.net(build(self.problem, pretrained=True))
        start = self.memory.get("pretrained", self._pretrain)
        with seeded(self.seed):
            return self.net(start.backbone)

    def _pretrain(self) -> Net:
        tasks = rotated(self.problem)
        with seeded(self.seed):
            backbone = build(self.problem, pretrained=False)
            width = width_of(backbone, self.target)
            net = Net(backbone, {t.name: t.kind.head(width) for t in tasks})
        stream = batches(tasks, 64, generator=self.generator("pretrain"))
        if self.problem.shift:
            stream = Moved(stream, self.problem.shift, generator=self.generator("pretrain"))
        self.train(net, tasks, steps=self.problem.budget.pretrain, lr=3e-3, stream=stream, phase="pretrain")
        return net

    def train(
        self,
        net: Net,
        tasks: Sequence[Task],
        objective: Objective | None = None,
        *,
        steps: int,
        lr: float,
        factor: float = 1.0,
        decay: float = 1e-2,
        stream: Stream | None = None,
        phase: str,
    ) -> Curves:
        """Lower an objective with AdamW and a one-cycle rate; return the losses per step by phase."""
        steps = max(1, steps)
        groups = parameter_groups(net, lr, factor=factor)
        if isinstance(objective, nn.Module) and (own := list(objective.parameters())):
            groups.append({"name": "objective", "params": own, "lr": lr})
        optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=decay)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, [g["lr"] for g in groups], total_steps=steps + 1, cycle_momentum=False
        )
        if stream is None:
            stream = batches(tasks, self.problem.budget.batch, generator=self.generator(phase))
        with seeded(self.seed):
            history = fit(
                net,
                stream,
                objective or Supervised(*tasks),
                steps=steps,
                optimizer=optimizer,
                scheduler=scheduler,
                run=self.run,
                phase=phase,
                progress=None if self.run else False,
            )
        return {f"{phase}: {name}": values for name, values in history.losses.items()}

    def train_head(self, net: Net, *, steps: int, lr: float, phase: str = "head") -> Curves:
        """Train the target's head alone, over features that are computed once, or anew for a dataset."""
        freeze(net.backbone)
        if not isinstance(self.target.train, Labelled):
            curves = self.train(net, [self.target], steps=steps, lr=lr, phase=phase)
            unfreeze(net.backbone)
            return curves
        rows = self.labelled()
        frozen = Labelled(cached_features(net, rows.x, task=self.target.name), rows.y)
        task = Task(self.target.name, self.target.kind, frozen)
        head = Net(nn.Identity(), {task.name: net.heads[task.name]})
        curves = self.train(head, [task], steps=steps, lr=lr, phase=phase)
        unfreeze(net.backbone)
        return curves

    def labelled(self) -> Labelled:
        """Return the target's labelled training rows."""
        train = self.target.train
        if not isinstance(train, Labelled):
            raise wrong(
                "training rows of the target",
                expected="Labelled, in tensors, for features that are computed once",
                found=type(train).__name__,
                hint="read the rows into tensors, or take a strategy of batches, such as `finetune`",
                error=TypeError,
            )
        return train.known()


@final
class Moved(Stream):
    """Move the images of a stream's batches by a few pixels at random, each by its own amount.

    What moves in is 0.

    Args:
        stream: of labelled batches with images ``(B, C, H, W)``.
        pixels: the largest move in each direction.
        generator: one number is drawn from it.
    """

    def __init__(self, stream: Stream, pixels: int, *, generator: torch.Generator) -> None:
        super().__init__(generator)
        self.stream, self.pixels = stream, pixels

    def _batch(self) -> dict[str, Labelled]:
        generator = torch.Generator().manual_seed((self._seed + 0x9E3779B9 * (self._step + 1)) & (2**63 - 1))
        batch = next(self.stream)
        return {name: Labelled(moved(part.x, self.pixels, generator), part.y) for name, part in batch.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the state, and that of the stream within."""
        return super().state_dict() | {"stream": self.stream.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the step that ``state`` was taken at."""
        super().load_state_dict(state)
        self.stream.load_state_dict(state["stream"])


def moved(x: X, pixels: int, generator: torch.Generator) -> Tensor:
    """Move each image ``(B, C, H, W)`` by up to ``pixels`` up, down, left or right; what comes in is 0."""
    assert isinstance(x, Tensor)
    rows, _, height, width = x.shape
    by = torch.randint(0, 2 * pixels + 1, (2, rows, 1), generator=generator)
    down, right = torch.arange(height) + by[0], torch.arange(width) + by[1]  # (B, H), (B, W)
    padded = nn.functional.pad(x, (pixels,) * 4).movedim(1, 3)  # (B, H', W', C)
    return padded[torch.arange(rows)[:, None, None], down[:, :, None], right[:, None, :]].movedim(3, 1)


def width_of(backbone: nn.Module, task: Task) -> int:
    """Measure the features per row of a backbone, on one row of a task."""
    train = task.train
    if isinstance(train, Labelled):  # which may be empty, for targets without labels
        return models.width_of(backbone, take(train.x, torch.arange(len(train))[:1]))
    return models.width_of(backbone, default_collate([train[0][0]]))


def rotated(problem: Problem) -> list[Task]:
    """Return the sources, with their rotations as extra classes where the problem says so."""
    if not problem.rotations:
        return list(problem.sources)
    return [rotations(s) if s.kind.extensible else s for s in problem.sources]
