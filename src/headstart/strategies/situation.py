"""What there is to learn and to start from, checked once; what a trial is given of it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import nn

from ..engine import device, seeded
from ..engine.devices import precision
from ..engine.evaluate import undisturbed
from ..errors import unknown, wrong
from ..models import device_of
from ..models.backbones import Start, fitting, start
from ..models.backbones import width_of as measured_width
from ..models.backbones.hub import fetching
from ..models.net import gives_places, task_dependent
from ..tasks import Task, X
from ..tasks.finite import check_finite_rows
from ..tasks.kinds.measures import Measure
from ..tasks.nouns import move, take, tensors
from ..tasks.spelling import unspelled
from .budget import Budget
from .candidate import Candidate, candidates
from .moves import MOVES, OF_ROWS, Move, moves
from .ready import converted, fitted, numbers, of_one_length, tokens
from .unlike import divided
from .validating import DEFAULT, LABELS, SEEING, VALIDATORS

SAMPLED = "sampled"  # classes are drawn alike often, rather than weighed
CLASS_WEIGHTS = ("auto", "balanced", SAMPLED, "none")
DRAWS = ("equal", "random")
FITS = 0.25  # share of a device's free memory that rows may fill, to stay there


@dataclass(frozen=True, eq=False, init=False)
class Situation:
    """Hold the targets, what there is to start from, and the budget.

    The rows are looked at once, when it is made; a part of them (``with_rows``) is not looked at again.
    ``hs.Problem``, which answers what ``compare`` asks, says what each argument means.
    """

    targets: tuple[Task, ...]
    sources: tuple[Task, ...]
    unlike: tuple[Task, ...]  # sources whose rows have other columns
    backbone: str | nn.Module | Start
    weights: str | None
    settings: Mapping[str, Any]
    fetch: str
    shots: int | Sequence[int] | None
    rotations: bool
    shift: int
    budget: Budget
    device: str
    precision: str
    metric: str | Mapping[str, str] | None
    class_weights: str
    draw: str
    augment: tuple[str, ...]
    importance: Mapping[str, float]
    no_harm: tuple[str, ...]
    validator: str
    backbones: Mapping[str, Candidate]
    using_now: str = field(init=False)  # the backbone that is taken, of several
    chosen: Mapping[str, tuple[str, str]] = field(init=False)  # measure and reason, by target

    def __init__(
        self,
        target: Task | None = None,
        sources: Sequence[Task] = (),
        backbone: str | nn.Module | Start = "auto",
        weights: str | None = "default",
        settings: Mapping[str, Any] | None = None,
        shots: int | Sequence[int] | None = None,
        rotations: bool | None = None,
        shift: int | None = None,
        budget: Budget | None = None,
        *,
        targets: Sequence[Task] = (),
        unlike: Sequence[Task] = (),
        device: str = "auto",
        precision: str = "auto",
        metric: str | Mapping[str, str] | None = None,
        class_weights: str = "auto",
        draw: str = "equal",
        augment: Sequence[str] = (),
        importance: Mapping[str, float] | None = None,
        no_harm: Sequence[str] = (),
        validator: str = DEFAULT,
        backbones: Mapping[str, Candidate | str | nn.Module | Start] | None = None,
        fetch: str = "yes",
    ) -> None:
        sources, targets = _tasks("sources", sources), _tasks("targets", targets)
        _check_amounts(shots, budget)
        if target is not None and len(targets) > 1:
            raise wrong("`target`", expected="left out where there are `targets`", found=target.name)
        chosen = targets if target is None else (_task("`target`", target),)
        if not chosen:
            raise wrong("`target`", expected="a task, or several in `targets`", found="none")
        if class_weights not in CLASS_WEIGHTS:
            raise unknown("`class_weights`", class_weights, CLASS_WEIGHTS)
        if draw not in DRAWS:
            raise unknown("`draw`", draw, DRAWS)
        if validator not in (known := (*VALIDATORS, LABELS)):
            raise unknown("`validator`", validator, known)
        sources = (*sources, *_tasks("unlike", unlike))
        self._set(targets=chosen, sources=sources, unlike=(), weights=weights, shots=shots)
        self._set(backbone=backbone, fetch=fetch)
        self._set(
            settings=dict(settings or {}), budget=budget or Budget(), device=device, precision=precision
        )
        self._set(metric=metric)
        self._set(class_weights=class_weights, draw=draw, augment=tuple(augment))
        self._set(importance=dict(importance or {}), no_harm=tuple(no_harm), validator=validator)
        self._set(backbones=candidates(backbones or {}), using_now="")
        if backbones:
            self._take(_asked(self.backbones, Candidate(backbone, weights, settings or {})))
        _make_ready(self)
        alike, unlike = divided(self.targets, self.sources)
        self._set(sources=alike, unlike=unlike)
        _check_tasks(self)
        self._set(chosen={t.name: _metric(t, metric) for t in self.targets})
        if backbone == "auto" and not backbones:
            self._set(backbone=_named(self))
        for each in map(self.using, self.backbones) if backbones else [self]:
            _check_places(each)
        self._set(shift=_shift(self, shift))
        self._set(rotations=_rotations(self, rotations))
        _check_moves(self)
        _check_sampled(self)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _take(self, name: str) -> None:
        one = self.backbones[name]
        self._set(backbone=one.use, weights=one.weights, settings=dict(one.settings), using_now=name)
        self._set(fetch=one.fetch)

    def using(self, backbone: str) -> Self:
        """Take another of the backbones that the problem names."""
        other = copy.copy(self)
        other._take(backbone)
        return other

    def with_rows(
        self,
        *,
        targets: Sequence[Task] | None = None,
        sources: Sequence[Task] | None = None,
        unlike: Sequence[Task] | None = None,
        rotations: bool | None = None,
    ) -> Self:
        """Return the situation with other rows of the same form, which are not looked at again."""
        other = copy.copy(self)
        values = {"targets": targets, "sources": sources, "unlike": unlike, "rotations": rotations}
        other._set(**{name: value for name, value in values.items() if value is not None})
        return other

    def without(self, names: Sequence[str]) -> Self:
        """Return the situation without the sources of some names."""
        alike, unlike = (
            [one for one in some if one.name not in names] for some in (self.sources, self.unlike)
        )
        return self.with_rows(sources=alike, unlike=unlike)

    @property
    def target(self) -> Task:
        """The task to learn; the first of several."""
        return self.targets[0]

    def focused(self, name: str) -> Self:
        """Put the target of that name first."""
        return self.with_rows(targets=sorted(self.targets, key=lambda t: t.name != name))

    def counts(self) -> list[int]:
        """Return the numbers of labelled rows to try, fewest first; none where all rows are used."""
        if self.shots is None:
            return []
        return [self.shots] if isinstance(self.shots, int) else sorted(set(self.shots))

    def balances(self, target: Task) -> bool:
        """Tell whether the classes of a target count alike in training, however many rows they have."""
        wanted = self.class_weights
        return wanted in ("balanced", SAMPLED) or (wanted == "auto" and self.measure(target.name)[0].balanced)

    def shared(self) -> list[Task]:
        """List the sources that have the target's very classes, or as many numbers for an answer."""
        kind = self.target.kind
        one = kind.single.exclusive or not kind.classes
        return [s for s in self.sources if one and s.kind == kind]

    def shared_unlike(self) -> list[Task]:
        """List the sources with other columns that have the target's very classes, or as many numbers."""
        return self.with_rows(sources=self.unlike).shared()

    def measure(self, name: str) -> tuple[Measure, str]:
        """Give what a target is scored by, and the reason for it; what stands in for it is scored alike."""
        target = next(t for t in self.targets if t.name == name)
        known, (asked, reason) = (
            target.kind.measures(),
            self.chosen.get(name, next(iter(self.chosen.values()))),
        )
        return known.get(asked, known[target.kind.metric]), reason

    @property
    def moves(self) -> list[Move]:
        """How images are moved at random, wherever nets learn from rows."""
        return moves(self.augment, min((row_shape(self.target) or (0, 0))[-2:])) if self.augment else []

    def labelled(self) -> int:
        """Count the target's labelled training rows."""
        return int(self.target.train.present().sum())

    @property
    def blind(self) -> bool:
        """Tell whether no target has a labelled training row, and all have bare ones."""
        return not any(bool(t.train.present().any()) for t in self.targets) and all(
            t.unlabelled is not None and len(t.unlabelled) for t in self.targets
        )

    @property
    def steps(self) -> int:
        """Optimizer steps on the target's rows, over all phases of a strategy together."""
        return self.budget.of(self.labelled())

    @property
    def start(self) -> Start:
        """Where the backbone comes from."""
        return start(self.backbone)

    def comes_pretrained(self) -> bool:
        """Tell whether the backbone brings knowledge of its own."""
        return self.start.comes_pretrained(self.weights)

    def build(self, *, pretrained: bool) -> nn.Module:
        """Make the backbone on its device, with pretrained weights or (global random state) new ones."""
        with fetching(self.fetch):
            built = self.start.build(
                inputs=row_shape(self.target),
                weights=(self.weights or "default") if pretrained and self.comes_pretrained() else None,
                settings=self.settings,
                facts=facts_of(self.target),
            )
        return built.to(self.on, torch.float32)

    @property
    def on(self) -> torch.device:
        """The device that nets are trained on."""
        return device(self.device)

    @property
    def dtype(self) -> torch.dtype:
        """What activations are computed in."""
        return precision(self.precision, self.on)

    def resident(self) -> Self:
        """Keep the training rows on the device, where they fit in a quarter of its free memory."""
        if self.on.type == "cpu":
            return self
        tasks = (*self.targets, *self.sources, *self.unlike)
        size = sum(t.nbytes for task in tasks if task.train.held for t in tensors(task.train.x))
        free = torch.cuda.mem_get_info(self.on)[0] if self.on.type == "cuda" else 4 << 30
        if size > FITS * free:
            return self

        def there(task: Task) -> Task:
            train, bare = task.train, task.unlabelled
            if bare is not None and bare.held:
                bare = bare.to(self.on)
            return replace(task, train=train.to(self.on), unlabelled=bare) if train.held else task

        return self.with_rows(
            targets=list(map(there, self.targets)),
            sources=list(map(there, self.sources)),
            unlike=list(map(there, self.unlike)),
        )


def row_shape(task: Task) -> tuple[int, ...] | None:
    """Tell the shape of one row; ``None`` for mappings and datasets."""
    first = one_row(task)
    return None if first is None else tuple(first.shape[1:])


def facts_of(task: Task) -> dict[str, Any]:
    """Return what the encoding of a task's rows tells a backbone; nothing where there is none."""
    return {} if task.encoding is None else task.encoding.facts()


def of_words(situation: Situation) -> bool:
    """Tell whether rows are token ids: whole numbers along one axis."""
    row = one_row(situation.target)
    return row is not None and row.ndim == 2 and not row.is_floating_point()


def one_row(task: Task) -> torch.Tensor | None:
    """Give the first row where rows are one tensor; ``None`` for mappings and datasets."""
    if not task.train.held:
        return None
    x: X = task.train.x
    alone = tensors(x)
    return alone[0][:1] if alone[0] is x else None


# What is looked at when a situation is made.


def _tasks(name: str, given: Sequence[Task]) -> tuple[Task, ...]:
    """Make a tuple of several tasks; refuse what is none, before anything is asked of it."""
    if isinstance(given, str | Mapping | Task) or not isinstance(given, Iterable):
        found, hint = type(given).__name__, f"pass `{name}=[task]`"
        raise wrong(f"`{name}`", expected="a list of tasks", found=found, hint=hint, error=TypeError)
    return tuple(_task(f"each of `{name}`", one) for one in given)


def _task(what: str, given: object) -> Task:
    if isinstance(given, Task):
        return given
    hint = (
        'read a file by `(task,) = hs.datasets.read("csv:new.csv#label")`, or make a task of arrays by '
        "`hs.Task(name, kind, hs.tasks.Labelled(x, y), test=...)`"
    )
    raise wrong(what, expected="a task", found=type(given).__name__, hint=hint, error=TypeError)


def _check_amounts(shots: object, budget: object) -> None:
    several = list(shots) if isinstance(shots, Iterable) else [shots]
    if shots is not None and not all(hasattr(n, "__index__") for n in several):
        expected = "a whole number, or a list of such"
        raise wrong("`shots`", expected=expected, found=repr(shots), error=TypeError)
    if budget is not None and not isinstance(budget, Budget):
        hint = "pass `budget=hs.strategies.Budget(steps=100)`"
        raise wrong("`budget`", expected="a `Budget`", found=repr(budget), hint=hint, error=TypeError)


def _make_ready(situation: Situation) -> None:
    """Bring all rows to what the backbone takes, and a module of the caller's own to its weights."""
    backbone, target = situation.backbone, situation.target
    if isinstance(backbone, nn.Module):
        backbone, conversion = fitted(backbone, target)
    else:
        conversion = tokens if _reads_tokens(situation) else numbers
    made, count = converted((*situation.targets, *situation.sources), conversion), len(situation.targets)
    if _of_tokens(situation):
        made = of_one_length(made)
    several = {
        name: replace(one, use=fitted(one.use, target)[0]) if isinstance(one.use, nn.Module) else one
        for name, one in situation.backbones.items()
    }
    if situation.using_now:
        backbone = several[situation.using_now].use
    situation._set(backbone=backbone, targets=made[:count], sources=made[count:], backbones=several)


def _reads_tokens(situation: Situation) -> bool:
    """Tell whether whole numbers along one axis are token ids: where a vocabulary or the backbone says so."""
    row = one_row(situation.target)
    if row is None or row.ndim != 2 or row.is_floating_point():
        return False
    return _of_tokens(situation) or situation.backbone not in ("auto", "mlp")


def _of_tokens(situation: Situation) -> bool:
    """Tell whether somebody says that rows are numbers of a vocabulary."""
    return "vocabulary" in facts_of(situation.target) or "vocabulary" in situation.settings


def _check_tasks(situation: Situation) -> None:
    targets, sources = situation.targets, situation.sources
    names = [t.name for t in (*targets, *sources, *situation.unlike)]
    if len(set(names)) != len(names):
        raise wrong("names of target and sources", expected="distinct", found=names)
    if situation.budget.looks and situation.validator not in (*SEEING, LABELS):
        raise wrong(
            f'`validator="{situation.validator}"` with looks along the way',
            expected=f"one that sees what a net has lost of the source: {', '.join(SEEING)}, or {LABELS}",
            found="one that sees the target alone, and trusts a net most that gives every row one answer",
            hint="take `sound`, or `looks = 0`, which leaves the last weights",
        )
    if situation.validator == LABELS and any(t.valid is None for t in targets):
        hint = (
            "pass Task(..., valid=rows), or leave `validator` out: no label of the target is looked at then"
        )
        raise wrong(
            "`valid` of the target",
            expected='rows with labels, for validator="labels"',
            found="None",
            hint=hint,
        )
    for target in targets:
        if target.test is None:
            hint = "pass Task(..., test=rows)"
            raise wrong("`test` of the target", expected="rows to be scored on", found="None", hint=hint)
    _check_labels(targets)
    _check_wishes(situation, [t.name for t in targets])
    counts = situation.counts()
    if situation.shots is not None and (not counts or min(counts) < 1):
        raise wrong("`shots`", expected="whole numbers of at least 1", found=counts)
    for task in (*targets, *sources, *situation.unlike):
        check_numbers(task, "train", "valid", "unlabelled")  # test rows: when they are to be touched
    for other in targets[1:]:
        _check_alike(situation.target, other, f"rows of target {other.name!r}")
    for source in sources:
        _check_alike(situation.target, source, f"rows of source {source.name!r}")


def _check_labels(targets: Sequence[Task]) -> None:
    """Refuse a target without a label among others that have some: there is nothing to train its head on."""
    without = [t.name for t in targets if t.train.held and not t.train.present().any()]
    if without and len(without) < len(targets):
        raise wrong(
            f"training rows of target {without[0]!r}",
            expected="at least one with a label, as other targets have them",
            found="none",
            hint="leave it out, or ask for it alone, with a source of its classes and `unlabelled` rows",
        )


def _check_wishes(situation: Situation, names: Sequence[str]) -> None:
    for what, named in (("importance", situation.importance), ("no_harm", situation.no_harm)):
        for name in named:
            if name not in names:
                raise unknown(f"target in `{what}`", name, names)
    for name, value in situation.importance.items():
        if not 0 < value < float("inf"):
            raise wrong(f"`importance` of {name!r}", expected="above 0 and finite", found=value)


def _check_places(situation: Situation) -> None:
    """Raise ``ValueError`` where a task asks for answers at places of which the backbone knows nothing."""
    tasks = [t for t in (*situation.targets, *situation.sources) if not t.kind.per_row]
    if not tasks:
        return
    start = situation.start
    weights = "default" if start.use is None else None  # a module is not to be drawn anew
    with seeded(0), fetching(situation.fetch):
        built = start.build(
            inputs=row_shape(situation.target),
            weights=weights,
            settings=situation.settings,
            facts=facts_of(situation.target),
        )
    for task in tasks:
        if not gives_places(built) or _of_first(built, task).ndim != task.kind.axes + 2:
            each = task.kind.place
            raise wrong(
                f"task {task.name!r}",
                expected=f"of one answer per row, since backbone {start.name!r} gives no features of "
                f"each {each}",
                found=f"one answer per {each}",
                hint="choose another task, or a backbone such as textcnn for texts and conv4 for images",
            )


def _of_first(backbone: nn.Module, task: Task) -> torch.Tensor:
    """Give the features at the places of a task's first row, ``(1, *, D)``."""
    with undisturbed(backbone):
        found: torch.Tensor = backbone.places(unspelled(move(_first(task), device_of(backbone))))  # type: ignore[operator]
    return found


def _check_alike(target: Task, other: Task, what: str) -> None:
    """Raise ``ValueError`` where one net cannot read both tasks' rows."""
    shape, theirs = row_shape(target), row_shape(other)
    if theirs != shape:
        hint = _likeness(target)
        raise wrong(what, expected=f"of the target's shape {shape}", found=theirs, hint=hint)
    if target.encoding is None or other.encoding is None:
        return
    if reason := target.encoding.differs(other.encoding):
        hint = _likeness(target)
        raise wrong(what, expected="numbered by the target's words", found=reason, hint=hint)


def _likeness(task: Task) -> str:
    """Say how other rows become like a task's."""
    row = one_row(task)
    if row is not None and row.ndim == 2 and not row.is_floating_point():
        return 'write both as tables ("text:new.csv#label"), so that sources are read by the target\'s words'
    if row is not None and row.ndim == 4:
        return "resize the images"
    return "bring both to one shape, or to tables: a source may have other columns than the target"


def _metric(target: Task, asked: str | Mapping[str, str] | None) -> tuple[str, str]:
    """Find what a target is scored by: as asked for, else as fits the shape of its training labels."""
    known = target.kind.measures()
    name = asked if asked is None or isinstance(asked, str) else asked.get(target.name)
    if name is None:
        return target.kind.suited(target.train.y) if target.train.held else (target.kind.metric, "")
    if name not in known:
        raise unknown(f"`metric` of target {target.name!r}", name, known)
    return name, "asked for"


def check_numbers(task: Task, *parts: str) -> None:
    """Raise ``ValueError`` where inputs hold NaN or infinity, which would spoil all that is learned."""
    for part in parts:
        data = getattr(task, part)
        if data is not None and data.held:
            check_finite_rows(data.x, f"{part} rows of task {task.name!r}")


def _named(situation: Situation) -> str:
    """Name the small backbone that fits the target's rows."""
    row = one_row(situation.target)
    if row is None:
        raise wrong(
            "`backbone`",
            expected="named, for rows that are no images, numbers or token ids",
            found='"auto"',
            hint='pass backbone="torchvision:resnet18" or a module',
        )
    if "ids" in facts_of(situation.target):
        return "factors"
    return fitting(tuple(row.shape[1:]), not row.is_floating_point())


def _shift(situation: Situation, asked: int | None) -> int:
    shape = row_shape(situation.target)
    if asked is None:
        return shape[1] // 8 if shape and _square(situation) else 0
    if asked < 0 or (asked and (shape is None or len(shape) != 3)):
        raise wrong("`shift`", expected="at least 0, and 0 for rows that are no images", found=asked)
    return asked


def _rotations(situation: Situation, asked: bool | None) -> bool:
    if asked is None:
        shared = situation.target.kind.exclusive and situation.shared()
        return situation.target.kind.per_row and _square(situation) and not shared
    if asked and not _square(situation):
        raise wrong("`rotations`", expected="off, for rows that are no square images", found=True)
    return asked


def _check_sampled(situation: Situation) -> None:
    """Refuse to draw the classes of a target alike often where its rows are another's too, or a dataset."""
    if situation.class_weights != SAMPLED:
        return
    for target in (t for t in situation.targets if t.kind.exclusive):
        rows = target.train
        alike = [
            t.name
            for t in situation.targets
            if rows.held and t is not target and t.train.held and t.train.x is rows.x
        ]
        if alike or not rows.held:
            raise wrong(
                f'`class_weights` "sampled" for target {target.name!r}',
                expected="rows of its own, in tensors",
                found=f"the rows of {alike[0]!r}" if alike else "a dataset",
                hint='take "balanced", which weighs the classes in the loss',
            )


def _check_moves(situation: Situation) -> None:
    """Refuse moves that are not known, or of rows that are no images."""
    for name in situation.augment:
        if name not in MOVES:
            raise unknown("`augment`", name, MOVES)
    if situation.augment and len(row_shape(situation.target) or ()) != 3:
        raise wrong("`augment`", expected="left out, for rows that are no images", found=situation.augment)
    apart = [t.name for t in (*situation.targets, *situation.sources) if not t.kind.per_row]
    if (whole := [name for name in OF_ROWS if name in situation.augment]) and apart:
        expected = f'without "{whole[0]}", which labels at places do not follow'
        raise wrong("`augment`", expected=expected, found=f"answers at places in task {apart[0]!r}")


def _square(situation: Situation) -> bool:
    shape = row_shape(situation.target)
    return shape is not None and len(shape) == 3 and shape[1] == shape[2]


def _asked(several: Mapping[str, Candidate], asked: Candidate) -> str:
    """Name the backbone to take of several: the first, or one of them that is asked for."""
    told = asked.use, asked.weights, asked.settings
    own = {name: (one.use, one.weights, dict(one.settings)) for name, one in several.items()}
    if told == ("auto", "default", {}):
        return next(iter(several))
    if told in own.values():  # as a copy with other fields asks
        return next(name for name, one in own.items() if one == told)
    expected = "left out beside `backbones`, which name their own"
    raise wrong("`backbone`, `weights` and `settings`", expected=expected, found="both")


def width_of(backbone: nn.Module, task: Task) -> int:
    """Measure the features of a backbone that a task's head reads, on one row of the task."""
    if not task.kind.per_row and not task_dependent(backbone):
        return _of_first(backbone, task).shape[-1]
    return measured_width(backbone, _first(task), task.name)


def _first(task: Task) -> X:
    """Take the first training row, or as much as there is of it."""
    train = task.train
    return take(train.x, slice(1)) if train.held else train.take(torch.tensor([0])).x
