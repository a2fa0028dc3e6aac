"""One strategy, once: what it is given, and the few moves that several strategies share.

Shapes: ``B`` rows, ``D`` features, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..datasets import rotations
from ..engine import Held, Run, Watch, fit, following, losses_of, seeded, settle, total
from ..errors import wrong
from ..maths import random
from ..models import Net, device_of, freeze, parameter_groups
from ..models.net import Given, as_backbone
from ..seams import Combine, Objective, learned
from ..tasks import Labelled, Stream, Task, X, batches, shifted
from ..transfer import Supervised
from .holding import enough, hold_out, same_rows
from .moves import STRONG, Moved, MovedSides, TwoViews, moves, shift
from .situation import SAMPLED, Situation, row_shape, width_of
from .starts import Curves, Starts

LOOKS = 20  # at held-out rows along a phase


@dataclass(frozen=True, eq=False)
class Trained:
    """What a strategy hands back.

    Args:
        net: with a head for the trial's target; heads of other targets are results for those as well.
        curves: the losses of its phases per step.
        told: what else the report shows, as JSON: ``layer``, the block that a backbone was cut behind, and
            the ``likelihood`` at each; ``troubles`` of its losses, each an ``alarm`` and the ``step``;
            ``shares``, by source, of the target; ``dropped``, by source, the columns that were left out.
        of_source: where the net reads the target's rows alone, what the way says of the source's: from
            held-out source rows to outputs and answers of these, or of others of its own. ``None`` where the
            net reads both.
        before: the net that reads the source's rows, where it is another one. ``None`` where it is the same,
            or sides differ in more than their net.
        beyond: which part of the target's rows lie outside of the source's where the way's learner reads
            them, in [0, 1]: of source rows that were learned from, held-out ones, and the target's. ``None``
            where the net reads both sides alike.
    """

    net: Net
    curves: Curves
    told: Mapping[str, Any] = field(default_factory=dict)
    of_source: Callable[[Labelled], tuple[Tensor, Tensor]] | None = None
    before: Net | None = None
    beyond: Callable[[Labelled, Labelled, X], float] | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """What a strategy is given: the situation cut to size, its settings, and a seed.

    Args:
        problem: its targets' training rows are those of this trial (already cut to the shots).
        settings: the strategy's one or two main settings.
        seed: of everything random in the trial.
        starts: nets that several trials of one seed start from; filled on first use.
        run: where to write checkpoints, for runs that can be resumed.
    """

    problem: Situation
    settings: Mapping[str, Any]
    seed: int
    starts: Starts = field(default_factory=Starts)
    run: Run | None = None

    @property
    def target(self) -> Task:
        """The task to learn; of several targets the one that this trial is for."""
        return self.problem.target

    @property
    def targets(self) -> Sequence[Task]:
        """All that is to be learned, ``target`` first: a strategy may learn the others along with it."""
        return self.problem.targets

    @property
    def class_weight(self) -> str | None:
        """How scikit-learn is to weigh the classes: as every other loss on the target's labels does."""
        weighs = self.target.weights is not None or (self.samples and self.target.kind.exclusive)
        return "balanced" if weighs else None

    @property
    def samples(self) -> bool:
        """Tell whether nets meet the targets' classes alike often; what has no batches weighs them."""
        return self.problem.class_weights == SAMPLED

    def generator(self, purpose: str) -> torch.Generator:
        """Make a generator for one purpose; equal purposes and seeds give equal numbers."""
        return random.generator(purpose, self.seed)

    def net(self, backbone: nn.Module, *tasks: Task) -> Net:
        """Put a new head for the target (and for ``tasks``) on a backbone."""
        heads = {t.name: t.kind.head(width_of(backbone, t)) for t in (self.target, *tasks)}
        return Net(backbone, heads).to(self.problem.on)

    def fresh(self) -> Net:
        """Give the backbone with new weights, and a new head."""
        with seeded(self.seed):
            return self.net(self.problem.build(pretrained=False))

    def pretrained(self) -> Net:
        """Give the pretrained backbone, and a new head; pretrained on the sources if it came without."""
        if self.problem.comes_pretrained():
            with seeded(self.seed):
                net = self.net(self.problem.build(pretrained=True))
            self.starts.knows(net.backbone, self.called("as it came"))
            return net
        start, _ = self.starts.get(self.called("pretrained"), self.pretrain)
        with seeded(self.seed):
            return self.net(start.backbone)

    def called(self, start: str) -> str:
        """Name what trials start from, apart for each of several backbones."""
        return f"{start}, {self.problem.using_now}" if self.problem.using_now else start

    def pretrain(self) -> tuple[Net, Curves]:
        """Train a new backbone on the sources' labels, with a head for each; give the losses as well."""
        tasks, problem = rotated(self.problem), self.problem
        with seeded(self.seed):
            backbone = problem.build(pretrained=False)
            net = Net(backbone, {t.name: t.kind.head(width_of(backbone, t)) for t in tasks}).to(problem.on)
        stream = batches(tasks, 64, generator=self.generator("pretrain"))
        changes = problem.moves
        if problem.shift and "shift" not in problem.augment:
            changes = [partial(shift, problem.shift), *changes]
        if changes:
            kinds = {t.name: t.kind for t in tasks}
            stream = Moved(stream, changes, kinds, generator=self.generator("pretrain, moved"))
        steps = problem.budget.pretrain
        return net, self.train(net, tasks, steps=steps, lr=3e-3, stream=stream, phase="pretrain")

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
        combine: Combine = total,
        stream: Stream | None = None,
        groups: Sequence[dict[str, Any]] | None = None,
        watch: Watch | None = None,
        phase: str,
    ) -> Curves:
        """Lower an objective with AdamW and a one-cycle rate; return the losses per step by phase.

        Where the budget names no steps and a target has 2000 rows, 20 of every class, a tenth of them is held
        out of the batches and looked at twenty times; the weights that did best on them are left (``Held``).
        All steps are taken all the same: the rate is high in the middle of its cycle and falls to 0 at the
        end, so a loss that rises for a while says little.
        Normalisation layers that trained get the statistics of the weights that come out (``settle``).
        ``Budget`` says why these numbers. Parameters of an objective or a combine are trained too.

        Args:
            net: trained in place.
            tasks: whose rows make the batches, and whose loss is lowered by default.
            objective: what to lower.
            steps: optimizer steps; 0 counts as 1.
            lr: largest step size, of the heads.
            factor: ratio of the step sizes of neighbouring stages, downwards.
            decay: weight decay.
            combine: how several losses become one gradient, such as ``multitask.backward(pcgrad)``.
            stream: batches; by default ``budget.batch`` rows of every task, moved as the problem says.
            groups: of the net's parameters, each with its largest step size, instead of ``lr``.
            watch: says which weights are left, such as their mean, in place of held-out rows.
            phase: names the curves and the checkpoints.
        """
        steps = max(1, steps)
        trained = [dict(group) for group in groups or parameter_groups(net, lr, factor=factor)]
        for name, part in (("objective", objective), ("combine", combine)):
            if own := [p for module in learned(part) for p in module.parameters()]:
                trained.append({"name": name, "params": own, "lr": lr})
        optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=decay, fused=True)  # a sixth of the time
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, [g["lr"] for g in trained], total_steps=steps + 1, cycle_momentum=False
        )
        held = watch
        if stream is None:
            if watch is None:
                tasks, held = self.held_out(tasks, steps)
            alike = [t.name for t in self.targets] if self.samples else []
            draws, size = self.generator(phase), self.problem.budget.batch
            stream = batches(tasks, size, balanced=alike, generator=draws)
            if not isinstance(net.backbone, Given):  # features are no images
                stream = self.moved(stream, tasks, phase)
        faster = nullcontext() if objective else channels_last(net)  # not all objectives take it
        objective = objective or Supervised(*tasks)
        with seeded(self.seed), following(net), faster:
            history = fit(
                net,
                stream,
                objective,
                steps=steps,
                optimizer=optimizer,
                combine=combine,
                scheduler=scheduler,
                run=self.run,
                phase=phase,
                precision=self.problem.precision,
                held=held,
                progress=None if self.run else False,
            )
            last, precision = (steps - 1) / steps, self.problem.precision
            settle(net, stream, objective, progress=last, precision=precision)
        return {f"{phase}: {name}": values for name, values in history.losses.items()}

    def moved(self, stream: Stream, tasks: Sequence[Task], purpose: str) -> Stream:
        """Move the images of a stream of labelled batches at random, as the problem says."""
        if not self.problem.moves:
            return stream
        kinds, draws = {t.name: t.kind for t in tasks}, self.generator(f"{purpose}, moved")
        return Moved(stream, self.problem.moves, kinds, generator=draws)

    def sides(self, task: Task, purpose: str = "shift") -> Stream:
        """Give 64 labelled source rows beside as many bare ones of the target, moved as the problem says."""
        stream = shifted(task, 64, generator=self.generator(purpose))
        if not self.problem.moves:
            return stream
        draws = self.generator(f"{purpose}, moved")
        return MovedSides(stream, self.problem.moves, task.kind, generator=draws)

    def views(self, task: Task) -> Stream:
        """Give 64 images of a side twice: as they are, and changed much, by the problem's own moves too."""
        stream = shifted(task, 64, generator=self.generator("shift"))
        changes = [*self.problem.moves, *moves(STRONG, min((row_shape(self.target) or ())[-2:]))]
        return TwoViews(stream, changes, generator=self.generator("views"))

    def held_out(self, tasks: Sequence[Task], steps: int) -> tuple[Sequence[Task], Held | None]:
        """Hold a tenth of the targets' rows out, where the budget names no steps and there are enough."""
        targets = {t.name: t for t in self.targets if self.problem.budget.steps is None and enough(t)}
        watched = [t for t in tasks if t.name in targets and same_rows(t, targets[t.name])]
        if not watched:
            return tasks, None
        parts = {t.name: hold_out(t, self.seed) for t in watched}
        kept = [parts[t.name][0] if t.name in parts else t for t in tasks]
        return kept, Held(losses_of(*(held for _, held in parts.values())), max(1, steps // LOOKS))

    def train_head(self, net: Net, *, steps: int, lr: float, phase: str = "head") -> Curves:
        """Train the target's head alone, over features that are computed once, or anew for a dataset."""
        with frozen(net.backbone):
            if not self.target.train.held:
                return self.train(net, [self.target], steps=steps, lr=lr, phase=phase)
            features = Labelled(self.features(net), self.labelled().y)
        task = Task(self.target.name, self.target.kind, features, weights=self.target.weights)
        head = Net(Given(), {task.name: net.heads[task.name]})
        return self.train(head, [task], steps=steps, lr=lr, phase=phase)

    def features(self, net: Net) -> Tensor:
        """Return a frozen backbone's features of the target's labelled rows, ``(B, D)`` or at each place."""
        return self.starts.features(net, self.labelled().x, self.target.name)

    def labelled(self) -> Labelled:
        """Return the target's labelled training rows."""
        if not self.target.train.held:
            raise wrong(
                "training rows of the target",
                expected="Labelled, in tensors, for features that are computed once",
                found="a dataset",
                hint="read the rows into tensors, or take a strategy of batches, such as `finetune`",
                error=TypeError,
            )
        return self.target.train.known()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Freeze a module for a while; every parameter trains afterwards if it did before.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> with frozen(layer):
        ...     layer.weight.requires_grad
        False
        >>> layer.weight.requires_grad
        True
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    freeze(module)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def channels_last(net: Net) -> Iterator[None]:
    """Keep convolutions' kernels with their channels last while a net trains, where its backbone says it may.

    PyTorch then computes maps in that order as well: on a CPU a step takes about two thirds of the time.
    """
    about = as_backbone(net.backbone)
    on = about is not None and about.channels_last and device_of(net).type == "cpu"
    if on:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        yield
    finally:
        if on:
            net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def rotated(problem: Situation) -> list[Task]:
    """Return the sources, with their rotations as extra classes where the situation says so."""
    if not problem.rotations:
        return list(problem.sources)
    return [rotations(s) if s.kind.extensible else s for s in problem.sources]
