"""What the user has: a new task, and what there is to start from. It answers what ``compare`` asks."""

from __future__ import annotations

import copy
import dataclasses
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, final

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.splits import EXPECTED, alike, count_duplicates
from ..engine import FeatureStore, seeded
from ..maths.influence import influence
from ..maths.twoway import Numbers
from ..models.hashing import module_hash
from ..records import sha256
from ..strategies import (
    AS_IT_IS,
    FURTHER,
    NO_REUSE,
    SIDE_BY_SIDE,
    STRATEGIES,
    Situation,
    Starts,
    Strategy,
    Trained,
    Trial,
    bound,
)  # fmt: skip
from ..strategies.needs import classes
from ..strategies.reading import MOST, beyond_of
from ..strategies.recipes.align import joined
from ..strategies.recipes.pooled import ROWS
from ..strategies.recipes.sides import drawn_alike, said_of_bare, some_bare
from ..strategies.situation import SAMPLED, check_numbers
from ..strategies.unlike import shared, width
from ..strategies.validating import LOOKING, SEEING, VALIDATORS, WEIGHTED
from ..tasks import Labelled, Task
from ..tasks.kinds import present
from . import alarms, calibration, choice, diagnosing
from ._rank import rank
from .hashing import rows_hash
from .learned import Learned, measured, outputs_of, score_of
from .question import Choice, Metric

PROMISING = ("features@layer+logreg", "probe")  # frozen features of classes, and of all else
PROMISES = range(3)  # seeds of held-out rows that tell backbones apart
GLANCE = 100  # steps, at most, of a net that orders the sources
DROP = "scores may be too high; drop the duplicates"


@final
@dataclass(frozen=True, eq=False, init=False)
class Problem(Situation):
    """Say what is to be learned and what there is to start from.

    Args:
        target: the new task. Its test rows are touched once per trial, by the final score.
        sources: related tasks with labels. One whose table has other columns than the target's is set apart
            (``problem.unlike``): a few strategies take it, and the report says so.
        backbone: a name for ``hs.backbone`` (``"torchvision:resnet18"``), a pretrained module, or
            ``"auto"``: ``conv4`` for images, ``mlp`` for numbers, ``textcnn`` for token ids, which whole
            numbers are where there is a vocabulary. A backbone that does not come pretrained is pretrained
            on the sources. A module is tried on one row, and its wrappers (``torch.compile``) are left out.
        weights: as for ``hs.backbone``: its default ones, a name, a path, or ``None`` for random.
        settings: the backbone's own settings, such as ``{"width": 32}``.
        shots: labelled target rows per class (in all, where there are no classes), several for a
            learning curve; ``None`` for all rows.
        rotations: rotate source images to make extra classes for pretraining and episodes;
            ``None`` does so for square images whose classes are not the target's, where that asks for one
            answer per image.
        shift: pixels by which source images are moved at random in pretraining, so that the features
            do not mind; ``None`` takes an eighth of the side of square images, 0 none.
        budget: how long things may train.
        targets: several tasks that are wanted at once, each scored by its own metric, in place of
            ``target``; their rows are alike in shape.
        unlike: more sources, of which those with other columns stand here when the problem is made.
        device: ``"auto"`` (CUDA, then MPS, then the CPU), or the name of one.
        precision: what activations are computed in: ``"float32"``, ``"bf16"``, or ``"auto"``, which is
            bf16 on a CUDA device that has it, else float32.
        metric: what targets are scored by, one name for all or by target; by default what fits the shape
            of the labels: balanced accuracy where classes are far from equal in size.
        class_weights: what a target's classes count in every strategy's training: ``"balanced"`` each
            alike, however many rows it has; ``"sampled"`` likewise, but nets draw the rows of rare classes
            more often in place of weighing them; ``"none"`` by its rows; ``"auto"`` is ``"balanced"`` where
            the target is scored by a metric in which they count alike (balanced accuracy, macro F1).
        backbones: several, by names of the user's, in place of ``backbone``, ``weights`` and
            ``settings``: names for ``hs.backbone``, modules, or ``hs.strategies.Candidate(use, weights=,
            settings=)``. Every strategy that takes a backbone runs on each, as ``finetune@NAME``: what
            trains a backbone only on those whose frozen features held-out rows cannot tell from the best.
        importance: by how much targets count in the mean over all of them, by their names; 1 where left out.
            Settings are chosen by that mean, too.
        no_harm: targets that what is recommended over all must not harm.
        validator: what judges nets where no label of the target may: settings are chosen by it and, where no
            target has a label, what is recommended. ``"labels"`` takes the target's ``valid`` rows in its
            place; labelled rows of the target choose only where that is asked for.
        draw: which labelled rows ``shots`` keeps: ``"equal"`` as many of each class, however common it is;
            ``"random"`` as many in all, at random whatever their class, but one of each at least.
        fetch: whether a backbone that is not on this machine may be fetched: ``"yes"`` or ``"never"``.
        augment: how images are moved at random, anew at each step, wherever a net learns from rows, with
            reuse or without: ``"flip"``, ``"shift"`` (by up to an eighth of the side), ``"crop"`` (a part of
            seven tenths of the sides or more, enlarged), ``"colour"``, ``"mixup"`` (another image laid over
            it), ``"turn"`` (by up to 15 degrees), ``"tint"`` (each channel), ``"invert"`` (light and dark),
            ``"erase"`` (a square). Heads on features that are computed once learn from the rows as they are.

    Raises:
        TypeError: if a module gives several tensors, and it is not plain which of them are the features.
        ValueError: if names collide, the backbone does not take the rows or gives no table, rows differ in
            shape or words, inputs hold NaN or infinity, a task asks for an answer at each place and the
            backbone gives no features there, a number of shots is below 1, or there is no such device.

    Example:
        >>> from headstart.tasks import Labelled, Multiclass, Task
        >>> rows = Labelled(torch.randn(8, 4), torch.arange(8) % 2)
        >>> Problem(Task("new", Multiclass(2), rows, test=rows), shots=[1, 2]).backbone
        'mlp'
    """

    @property
    def repeats(self) -> int:
        """How many pseudo-targets, or validation splits, each option is tried on."""
        return self.budget.repeats

    @property
    def names(self) -> list[str]:
        """The targets' names."""
        return [t.name for t in self.targets]

    def scored_by(self, name: str) -> Metric:
        """Say how a target is scored: as asked for, else as fits the shape of its labels."""
        measure, _ = self.measure(name)
        return Metric(measure.name, measure.higher_is_better, measure.bounds, measure.ratio)

    def asks(self, name: str) -> str:
        """Say what an answer to the target of that name is."""
        return self._named(name).kind.describe()

    def amounts(self) -> list[int | None]:
        """The numbers of shots; ``None`` where all rows are used, or none has a label."""
        counts = self.counts() if any(self.focused(n).labelled() for n in self.names) else []
        return [*counts] or [None]

    def strategies(self) -> Mapping[str, Strategy]:
        """The strategies that ``"auto"`` means: of several targets also those that learn them together."""
        return STRATEGIES | (SIDE_BY_SIDE if len(self.targets) > 1 else {})

    def further(self) -> Mapping[str, Strategy]:
        """The strategies of this library that run where they are named."""
        return FURTHER

    def forms(self, strategy: Strategy) -> list[Strategy]:
        """List what a strategy runs as: one on each of several backbones."""
        apart = self.backbones and strategy.builds and not strategy.backbone
        return [bound(strategy, name) for name in self.backbones] if apart else [strategy]

    def applies(self, strategy: Strategy, name: str) -> str:
        """Tell why a strategy does not apply to a target, or ``""``."""
        return strategy.needs(self.focused(name))

    def sources_of(self) -> list[str]:
        """Name the sources."""
        return [s.name for s in self.sources]

    def suspects(self) -> list[str]:
        """Name the sources, that of the lowest LogME first; as given where ``rank`` does not apply."""
        if self.comes_pretrained() or classes(self):
            return self.sources_of()
        glance = dataclasses.replace(self.budget, pretrain=min(GLANCE, self.budget.pretrain))
        try:
            return [row.start for row in reversed(rank(self._with(budget=glance)))]
        except FloatingPointError:  # a net diverged
            return self.sources_of()

    def alarms(
        self, name: str, seen: Sequence[Mapping[str, Any]], sources: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Tell what looks wrong in answers to rows without labels, beside the classes of the sources."""
        kind, shared = self._named(name).kind, [s for s in self.focused(name).shared() if s.name in sources]
        y = [s.train.known().y.cpu() for s in shared if s.train.held]
        if not y or not kind.exclusive:
            return []
        return alarms.raised(seen, list((kind.shares(torch.cat(y)) or {}).values()))

    def applies_without(self, strategy: Strategy, sources: Sequence[str]) -> str:
        """Tell why a strategy does not apply to the first target where some sources are left out."""
        return strategy.needs(self.with_rows(sources=[s for s in self.sources if s.name not in sources]))

    def takes_answers(self, strategy: Strategy) -> bool:
        """Tell whether a strategy takes the sources' answers for the target's own."""
        return strategy.learns in ("source", "unlabelled") or strategy.reused == ROWS

    def family(self) -> Sequence[str]:
        """Name the strategies without reuse; without labels those that use the sources as they are."""
        names = NO_REUSE if self.labelled() else AS_IT_IS
        return [form.name for name in names for form in self.forms(STRATEGIES[name])]

    def floor(self) -> str:
        """Name the strategy that looks at no input; without labels there is none."""
        return "constant" if self.labelled() else ""

    def counted(self, name: str, answers: NDArray[Any], truth: Mapping[str, NDArray[Any]]) -> Numbers:
        """Say what each labelled test row counts towards a target's score."""
        kind, (measure, _) = self._named(name).kind, self.measure(name)
        p, t, row = kind.scored(torch.from_numpy(answers).float(), torch.from_numpy(truth["y"]))
        if "group" in truth:  # rows that belong together count as one
            there = torch.from_numpy(truth["group"])[present(torch.from_numpy(truth["y"]))]
            row = there.unique(return_inverse=True)[1][row]
        return influence(measure, p, t, row, int(row.max()) + 1 if len(row) else 0)[1]

    def check(self) -> None:
        """Look at the test rows, and try each number of shots: what is wrong is told before anything runs."""
        for count in self.amounts():
            choice.cut(self, count, 0)
        for target in self.targets:
            check_numbers(target, "test")
            self._warn_of_duplicates(target)

    def _warn_of_duplicates(self, target: Task) -> None:
        """Warn where test rows are trained on: those of the target, unless its reader told, or of others."""
        if target.test is None or not target.test.held:
            return
        rows = {t.name: t.train.x for t in (*self.targets, *self.sources) if t.train.held}
        told = {target.name: target.encoding.duplicates if target.encoding is not None else 0}
        found: dict[int, list[str]] = {}  # targets of one table share their rows, so their counts are one
        for name, both in zip(rows, count_duplicates(target.test.x, list(rows.values())), strict=True):
            if both > told.get(name, 0):
                found.setdefault(both, []).append(name)
        for both, names in found.items():
            few = alike(target.test.x, *(rows[name] for name in names))
            advice = f"many rows are alike: {few}; {EXPECTED}" if few else DROP
            warnings.warn(
                f"{both} of {len(target.test)} test rows of {target.name!r} are among the training rows "
                f"of {' and '.join(map(repr, names))}; {advice}",
                UserWarning,
                stacklevel=4,
            )

    def fingerprint(self) -> str:
        """Hash what a result depends on in one."""
        return sha256(repr(sorted(self.hashes().items())).encode())

    def hashes(self) -> dict[str, str]:
        """Hash what a result depends on, by what it is, so that a directory is only continued by its own."""
        found = {f"rows of {t.name}": rows_hash(t) for t in self.targets}
        found |= {f"rows of source {t.name}": rows_hash(t) for t in self.sources}
        for source in self.unlike:
            rows = f"{rows_hash(source)} {shared(self.target, source)}"
            found[f"rows of source {source.name}"] = sha256(rows.encode())
        names = [[t.name for t in tasks] for tasks in (self.targets, (*self.sources, *self.unlike))]
        settings = (
            names, self.rotations, self.shift, self.budget, self.class_weights, self.draw, self.augment,
            sorted(self.importance.items()), self.metric, self.validator,
        )  # fmt: skip
        found["settings"] = sha256(repr(settings).encode())
        for name in self.backbones or [""]:  # of several each by its name
            one = self.using(name) if name else self
            told = f"{one.start.fingerprint()} {one.weights} {dict(one.settings)} {one.weights_hash()}"
            found[f"backbone {name}".rstrip()] = sha256(told.encode())
        found["device"] = f"{self.on.type} {self.dtype}"  # sums differ in their last digits
        return found

    def weights_hash(self) -> str | None:
        """Hash the weights that the backbone brings, whatever they lie in; ``None`` where it has none."""
        if not self.comes_pretrained():
            return None
        with seeded(0):
            return module_hash(self.build(pretrained=True))

    def shifts(self, directory: Path) -> dict[str, dict[str, Any]]:
        """Diagnose the shift from the sources to each target with bare rows."""
        starts = self.starts(directory)
        found = {name: diagnosing.shift(self.focused(name), starts) for name in self.names}
        return {name: told for name, told in found.items() if told is not None}

    def starts(self, directory: Path) -> Starts:
        """Make what the trials of one seed share."""
        return Starts(FeatureStore(directory))

    def grouped(self, seeds: Sequence[int], workers: int) -> list[list[int]]:
        """Make a job of each seed, whose trials share their pretrained nets."""
        return [[seed] for seed in seeds]

    def ahead(self, ways: Sequence[tuple[Strategy, Mapping[str, Any], int]], starts: Starts) -> None:
        """Do nothing: each trial trains by itself."""

    def choice(self, strategy: Strategy, amount: int | None) -> Choice:
        """Say how a strategy's settings are chosen at a number of shots."""
        how, options = (
            choice.chosen_on(self, strategy, amount),
            min(self.budget.options, len(strategy.options)),
        )
        ours = strategy.name in self.family()  # one of them is chosen, too
        if how == choice.DEFAULTS and ours and choice.can_spare(self, amount):
            return Choice(choice.HELD_OUT, "within")
        if how == choice.DEFAULTS or (options < 2 and not ours and not self.blind):
            return Choice(choice.DEFAULTS, "never")
        within = how == choice.HELD_OUT and amount is not None
        return Choice(how, "within" if within else "before", options, across=self.blind)

    def judge(
        self,
        strategy: Strategy,
        option: int,
        amount: int | None,
        repeat: int,
        starts: Starts,
        shifts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> tuple[float, float]:
        """Score one option: the value to raise, and a guard (source validation accuracy, else 0)."""
        how, seed, settings = self.choice(strategy, amount).how, 1000 + repeat, strategy.options[option]
        if how == choice.INFORMATION:
            ratios = {name: diagnosing.ratio((shifts or {}).get(name, {})) for name in self.names}
            pairs = [self.focused(name)._unseen(strategy, settings, seed, ratios[name]) for name in ratios]
            return _mean([value for value, _ in pairs]), _mean([guard for _, guard in pairs])
        if how == choice.SOURCE:
            names = self._applied(strategy)
            parts = [self.focused(name)._of_source(strategy, settings, seed) for name in names]
            return _mean([self._scored(*part[-2:]) for part in parts]), 0.0
        if how == choice.PSEUDO:
            posed = choice.pseudo(self, seed)
            judged: Mapping[str, Any] = {t.name: t.test for t in posed.targets}
            posed = posed.cut(amount, seed)
        elif how == choice.VALID:
            judged = {t.name: t.valid for t in self.targets}
            posed = self.cut(amount, repeat)
        else:
            posed, judged = self.cut(amount, repeat)._held_out(seed)
        return posed._value(strategy, settings, seed, judged, starts), 0.0

    def _unseen(
        self, strategy: Strategy, settings: Mapping[str, Any], seed: int, ratio: Tensor | None
    ) -> tuple[float, float]:
        """Judge by the unlabelled rows and a fifth of the source's labelled ones; the latter may guard."""
        trained, train, held, outputs, y = self._of_source(strategy, settings, seed)
        net, kind = trained.net, self.target.kind
        p = kind.probabilities(outputs)
        assert p is not None  # the task has classes
        said, far = said_of_bare(net, self.target), 0.0
        if self.validator in LOOKING:
            beyond = trained.beyond or partial(beyond_of, net, net, self.target.name)
            far = beyond(train, held, some_bare(self.target, MOST))
        value = VALIDATORS[self.validator](said, p, kind.numbers(y), far, ratio)
        return value, 0.0 if self.validator in SEEING else self._scored(outputs, y)

    def _scored(self, outputs: Tensor, y: Tensor) -> float:
        """Score answers to rows of the source as the target's are; higher is better."""
        metric = self.scored_by(self.target.name)
        return metric.sign * measured(self.target, outputs, y, metric.name)[metric.name]

    def _of_source(
        self, strategy: Strategy, settings: Mapping[str, Any], seed: int
    ) -> tuple[Trained, Labelled, Labelled, Tensor, Tensor]:
        """Run on four fifths of the source's labelled rows; give both parts, and what is said of the rest."""
        source = joined(self.target, self.shared())
        assert source.train.held  # it was joined of rows in memory
        train, valid = choice.part(source.train, 0.2, seed)
        if self.blind and self.validator == WEIGHTED:
            valid = drawn_alike(self, valid, seed)
        source = dataclasses.replace(source, name="the sources", train=train, unlabelled=None)
        posed = self.with_rows(targets=[self.target], sources=[source], rotations=False)
        starts = Starts()
        trained = strategy.learn(Trial(posed, settings, seed, starts))
        if trained.of_source is not None:
            return trained, train, valid, *trained.of_source(valid)
        return trained, train, valid, *outputs_of(starts, trained.net, self.target, valid)

    def choose(
        self, strategy: Strategy, options: int, seed: int, starts: Starts, *, quarters: int = 1
    ) -> tuple[int, float]:
        """Choose on a quarter of this trial's own rows, or on several; on all four where the rows are few."""
        few = min(map(choice.smallest, self.targets)) < choice.ENOUGH
        parts = [self._held_out(seed, quarter) for quarter in range(4 if few else quarters)]
        scores = []
        for option in range(options):
            tried = []
            for posed, judged in parts:
                try:
                    value = posed._value(strategy, strategy.options[option], seed, judged, starts)
                except Exception:  # diverged, or what the trial will tell: the worst there is
                    value = float("-inf")
                tried.append((value, 0.0))
            scores.append(tried)
        option = choice.best(scores)
        return option, _mean([value for value, _ in scores[option]])

    def promises(self, directory: Path) -> dict[str, list[float]]:
        """Score frozen features of each of several backbones that come pretrained on held-out rows."""
        amount = self.amounts()[-1]
        if not choice.can_spare(self, amount) or not all(t.train.held for t in self.targets):
            return {}
        found = {}
        for backbone in self.backbones:
            ways = [bound(STRATEGIES[name], backbone) for name in PROMISING]
            way = next((one for one in ways if not self.applies(one, self.target.name)), None)
            if way is not None and self.using(backbone).comes_pretrained():
                found[backbone] = [
                    self.cut(amount, seed).choose(way, 1, seed, self.starts(directory), quarters=4)[1]
                    for seed in PROMISES
                ]
        return found if len(found) > 1 else {}

    def _held_out(self, seed: int, quarter: int = 0) -> tuple[Self, dict[str, Labelled]]:
        parts = [choice.hold_out(t, seed, quarter) for t in self.targets]
        return self.with_rows(targets=[t for t, _ in parts]), {t.name: held for t, held in parts}

    def _value(
        self,
        strategy: Strategy,
        settings: Mapping[str, Any],
        seed: int,
        judged: Mapping[str, Any],
        starts: Starts,
    ) -> float:
        """Train and score on other rows than the test rows; the mean over the targets, higher is better."""
        total = weights = 0.0
        for name, trained, _ in self._runs(strategy, self._applied(strategy), settings, seed, starts):
            metric, counts = self.scored_by(name), self.importance.get(name, 1.0)
            score = score_of(starts, trained.net, self._named(name), judged[name], metric.name)
            total, weights = total + counts * metric.sign * score, weights + counts
        return total / weights

    def _applied(self, strategy: Strategy) -> list[str]:
        return [name for name in self.names if not self.applies(strategy, name)] or self.names

    def _named(self, name: str) -> Task:
        return next(t for t in self.targets if t.name == name)

    def _runs(
        self, strategy: Strategy, names: Sequence[str], settings: Mapping[str, Any], seed: int, starts: Starts
    ) -> Iterator[tuple[str, Trained, float]]:
        """Train until every target that is named has a head; give each with the seconds it took."""
        left, problem = list(names), self.resident()
        while left:
            begun, spared = time.perf_counter(), starts.spared
            trained = strategy.learn(Trial(problem.focused(left[0]), settings, seed, starts))
            seconds = time.perf_counter() - begun + starts.spared - spared
            done = [name for name in left if name == left[0] or name in trained.net.heads]
            left = [name for name in left if name not in done]
            for name in done:
                yield name, trained, seconds

    def cut(self, amount: int | None, seed: int) -> Self:
        """Keep so many labelled rows per class of each target, or per class on average."""
        return self.with_rows(targets=choice.cut(self, amount, seed))

    def train(
        self, strategy: Strategy, names: Sequence[str], settings: Mapping[str, Any], seed: int, starts: Starts
    ) -> dict[str, Learned]:
        """Train for each target that is named and score it on its test rows."""
        found: dict[str, Learned] = {}
        for name, trained, seconds in self._runs(strategy, names, settings, seed, starts):
            target, metric = self._named(name), self.measure(name)[0].name
            bare = target.unlabelled is not None and not target.train.present().any()
            sources = tuple(self.focused(name).shared()) if bare else ()
            found[name] = Learned(target, trained, seconds, starts, metric, sources=sources)
        return found

    def final(
        self, strategy: Strategy, names: Sequence[str], settings: Mapping[str, Any], seed: int, starts: Starts
    ) -> dict[str, Learned]:
        """Train on all rows; a first training on three quarters says how sure the answers should be."""
        spares = [name for name in names if calibration.can_calibrate(self._named(name))]
        temperatures: dict[str, float] = {}
        if spares and all(t.train.held for t in self.targets):
            posed, judged = self._held_out(seed)
            for name, trained, _ in posed._runs(strategy, names, settings, seed, starts):
                if name in spares:
                    outputs, y = outputs_of(starts, trained.net, self._named(name), judged[name])
                    temperatures[name] = calibration.temperature(self._named(name).kind, outputs, y)
        found = self.train(strategy, names, settings, seed, starts)
        return {name: learned.cooled(temperatures.get(name)) for name, learned in found.items()}

    def protocols(self) -> dict[str, Self]:
        """Pose the problem with other steps, another division of the rows, fewer labels, unmoved sources."""
        found, steps = {}, self.steps
        for name, factor in (("half the steps", 0.5), ("twice the steps", 2.0)):
            longer = max(1, round(factor * self.budget.pretrain))
            budget = dataclasses.replace(self.budget, steps=max(1, round(factor * steps)), pretrain=longer)
            found[name] = self._with(budget=budget)
        if all(t.train.held and t.test is not None and t.test.held for t in self.targets):
            found["another split"] = self.with_rows(targets=[choice.divided(t, 1) for t in self.targets])
        if least := [count for count in self.counts() if count > 1]:
            found["half the labels"] = self._with(shots=max(1, least[-1] // 2))
        elif self.shots is None and self.labelled():
            found["half the labels"] = self.with_rows(targets=[choice.halved(t) for t in self.targets])
        if self.shift or self.rotations:
            found["sources as they are"] = self._with(shift=0, rotations=False)
        return found

    def _with(self, **values: Any) -> Self:
        """Return the problem with other values of its fields, which are not looked at again."""
        other = copy.copy(self)
        other._set(**values)
        return other

    def facts(self) -> dict[str, Any]:
        """Say what the report shows of the problem."""
        return {
            "title": f"Which way of reuse is best for {' and '.join(self.names)}".rstrip("?") + "?",
            "targets": [
                _about(t)
                | {"metric_because": self.measure(t.name)[1], "class_weights": self._weights(t)}
                | {"draw": self.draw}
                for t in self.targets
            ],
            "sources": [
                {"name": s.name, "rows": len(s.train), "classes": len(s.kind.classes)} for s in self.sources
            ]
            + [self._other_columns(s) for s in self.unlike],
            "backbone": self.start.name,
            "weights": self.weights_hash(),
            "pretrained": self._pretrained(),
            "backbones": [
                {
                    "name": name,
                    "backbone": one.start.name,
                    "pretrained": one._pretrained(),
                    "weights": one.weights_hash(),
                }
                for name, one in ((name, self.using(name)) for name in self.backbones)
            ],
            "steps": self.budget.facts(),
            "validator": self.validator if self.blind else None,
            "augment": list(self.augment),
        }

    def _other_columns(self, source: Task) -> dict[str, Any]:
        many = sum(place is not None for place in shared(self.target, source))
        columns = {"columns": width(source), "of": width(self.target), "shared": many}
        return {
            "name": source.name,
            "rows": len(source.train),
            "classes": len(source.kind.classes),
            "unlike": columns,
        }

    def _weights(self, target: Task) -> str:
        if not (target.kind.exclusive and self.balances(target)):
            return "none"
        return SAMPLED if self.class_weights == SAMPLED else "balanced"

    def _pretrained(self) -> str:
        if self.comes_pretrained():
            return "the caller's own" if self.start.use is None else f"came with weights {self.weights!r}"
        if not self.sources:
            return "no"
        turned = ", their rotations as extra classes" if self.rotations else ""
        by = f", moved by up to {self.shift} pixel{'s' * (self.shift > 1)}" if self.shift else ""
        return f"on the sources{turned}{by}, {self.budget.pretrain} steps, anew for every seed"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _groups(rows: Any) -> int | None:
    """Count the groups that labelled rows are in; None where each stands alone."""
    if rows is None or not rows.held or rows.group is None:
        return None
    return len(rows.group[rows.present()].unique())


def _about(target: Task) -> dict[str, Any]:
    shares = target.kind.shares(target.train.y) if target.train.held else None
    return {
        "name": target.name,
        "classes": [str(c) for c in target.kind.classes],
        "per_class": target.kind.exclusive,
        "asks": target.kind.describe(),
        "train_rows": len(target.train),
        "labelled": int(target.train.present().sum()),
        "test_rows": 0 if target.test is None else len(target.test),
        "test_groups": _groups(target.test),
        "shares": None if shares is None else {str(name): share for name, share in shares.items()},
    }
