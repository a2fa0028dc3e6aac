"""A problem of worlds: environment steps in the place of labels, episodes in the place of test rows.

It answers what ``compare`` asks, as ``Problem`` does of rows.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import NDArray

from ..datasets.readers.tables import TableEncoding
from ..errors import wrong
from ..maths.twoway import Numbers
from ..models import Net, count_parameters, save
from ..models.hashing import module_hash
from ..records import sha256
from ..rl import Learned, Lesson, World, film, learn
from ..rl.stack import shape
from ..strategies import Starts, Strategy
from ..strategies.rl import FURTHER, STRATEGIES, Arena, Shared, Trial
from ..strategies.rl.arena import looks
from ..strategies.rl.trial import HEAD, area, scaled
from ..tasks import Multiclass
from .question import Choice, Metric

EPISODES = 77_777  # seed of the test episodes, the same for all trials
SOLVED = 0.8  # of the world's scale: how soon it is reached is told


@final
@dataclass(frozen=True, eq=False)
class Problem(Arena):
    """Say which world is to be acted in, and what was learned in others before.

    Steps in the target take the place of labelled rows: the row at 0 steps is the jump start, that of the
    most steps the end. Scores are returns on the world's scale: 0 is hardly any skill, 1 is solved.

    Args:
        target: the world to act in.
        sources: worlds of one environment, to learn in beforehand.
        policy: a net with one head, learned in the sources where it is left out.
        steps: in the target, several for a learning curve; 0 is before anything is learned there.
        budget: how long to learn beforehand, and by how many episodes policies are judged.
        metric: ``"score"``, that of the policy after so many steps; or ``"area"``, its mean over all steps up
            to there.

    Raises:
        ValueError: if worlds share a name, ask for other numbers of actions, sources have several
            environments, steps do not rise, the policy does not fit, or for an unknown metric.

    Example:
        >>> from headstart.rl import World
        >>> heavy = World("CartPole-v1", context={"gravity": 20})
        >>> problem = Problem(heavy, [World("CartPole-v1")], steps=[0, 1000])
        >>> problem.names, list(problem.amounts()), problem.family()
        (['CartPole-v1 gravity=20'], [0, 1000], ['scratch'])
    """

    metric: Literal["score", "area"] = "score"
    upto: int | None = field(default=None, init=False)  # steps of a trial; None for all

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric not in ("score", "area"):
            raise wrong("`metric`", expected='"score" or "area"', found=f'"{self.metric}"')

    # What is asked, and how it is judged.

    @property
    def repeats(self) -> int:
        """Nothing is tried before the trials."""
        return 1

    @property
    def names(self) -> list[str]:
        """The target's name."""
        return [self.target.name]

    @property
    def importance(self) -> Mapping[str, float]:
        """There is one target."""
        return {}

    @property
    def no_harm(self) -> Sequence[str]:
        """There is one target."""
        return ()

    def scored_by(self, name: str) -> Metric:
        """Say how the target is scored: by returns on its scale."""
        return Metric(self.metric)

    def asks(self, name: str) -> str:
        """Say what an answer is."""
        return f"one of {self.target.actions_count} actions"

    def amounts(self) -> list[int | None]:
        """The steps in the target."""
        return [*self.steps]

    def strategies(self) -> Mapping[str, Strategy]:
        """The strategies that ``"auto"`` means."""
        return STRATEGIES

    def further(self) -> Mapping[str, Strategy]:
        """Strategies that run where they are named."""
        return FURTHER

    def forms(self, strategy: Strategy) -> list[Strategy]:
        """Run each as it is."""
        return [strategy]

    def applies(self, strategy: Strategy, name: str) -> str:
        """Tell why a strategy does not apply, or ``""``."""
        return strategy.needs(self)

    def sources_of(self) -> list[str]:
        """Name the sources."""
        return [one.name for one in self.sources]

    def suspects(self) -> list[str]:
        """Name the sources, as they are given."""
        return self.sources_of()

    def applies_without(self, strategy: Strategy, sources: Sequence[str]) -> str:
        """Tell why a strategy does not apply without some sources, or ``""``."""
        return strategy.needs(self.without(sources))

    def takes_answers(self, strategy: Strategy) -> bool:
        """Tell whether a strategy acts as in the sources at first."""
        return "policy" in strategy.reused

    def family(self) -> list[str]:
        """Name what reuses nothing."""
        return ["scratch"]

    def floor(self) -> str:
        """There is no strategy that looks at nothing: the scale begins where skill does."""
        return ""

    def counted(self, name: str, answers: NDArray[Any], truth: Mapping[str, NDArray[Any]]) -> Numbers:
        """Say what each test episode counts, of returns ``(looks, episodes)``."""
        points = np.asarray(scaled(self.target, np.asarray(answers, dtype=np.float64)))
        if self.metric == "score":
            return np.asarray(points[-1])
        return area(points, [*truth["steps"][: len(points)]])

    def alarms(
        self, name: str, seen: Sequence[Mapping[str, Any]], sources: Sequence[str]
    ) -> list[dict[str, Any]]:
        """There are rewards to judge by."""
        return []

    def check(self) -> None:
        """What is wrong was told when the worlds were made."""

    def hashes(self) -> dict[str, str]:
        """Hash what a result depends on, by what it is."""
        found = {f"world {one.name}": sha256(_told(one).encode()) for one in (self.target, *self.sources)}
        found["settings"] = sha256(f"{self.steps} {self.budget} {self.metric}".encode())
        found["policy"] = module_hash(self.policy) if self.policy is not None else "learned in the sources"
        return found

    def shifts(self, directory: Path) -> dict[str, dict[str, Any]]:
        """There are no rows without labels."""
        return {}

    # Trials.

    def starts(self, directory: Path) -> Shared:
        """Make what all trials of a job share."""
        return Shared()

    def grouped(self, seeds: Sequence[int], workers: int) -> list[list[int]]:
        """Make a job for each worker: all runs of a job learn as one."""
        groups = [list(seeds[worker::workers]) for worker in range(workers)]
        return [group for group in groups if group]

    def looks(self) -> list[int]:
        """List the steps at which policies are looked at."""
        return looks(self.steps)

    def ahead(self, ways: Sequence[tuple[Strategy, Mapping[str, Any], int]], starts: Starts) -> None:
        """Let all runs learn, those of nets of one shape together."""
        assert isinstance(starts, Shared)
        starts.seeds = sorted({seed for _, _, seed in ways})
        groups: dict[tuple[object, ...], list[tuple[str, int, Lesson]]] = {}
        begun, count = time.perf_counter(), len(ways)
        for strategy, settings, seed in ways:
            try:
                lesson = _lesson(strategy, Trial(self, settings, seed, starts))
            except Exception as error:  # told by its own trials; the others go on
                starts.failed[strategy.name, seed] = error
                continue
            kind = shape(lesson.policy), shape(lesson.value)
            groups.setdefault(kind, []).append((strategy.name, seed, lesson))
        before = (time.perf_counter() - begun) / count
        for group in groups.values():
            begun = time.perf_counter()
            found_of = learn(
                [lesson for _, _, lesson in group],
                self.looks(),
                settings=self.budget.learning,
                episodes=self.budget.episodes,
                seed=EPISODES,
            )
            seconds = before + (time.perf_counter() - begun) / len(group)
            for (name, seed, _), learned in zip(group, found_of, strict=True):
                starts.done[name, seed] = learned, seconds

    def choice(self, strategy: Strategy, amount: int | None) -> Choice:
        """Take the stated settings."""
        return Choice("stated defaults", "never")

    def judge(
        self,
        strategy: Strategy,
        option: int,
        amount: int | None,
        repeat: int,
        starts: Starts,
        shifts: Mapping[str, Mapping[str, Any]],
    ) -> tuple[float, float]:
        """Say nothing of settings, which are never chosen."""
        return 0.0, 0.0

    def choose(
        self, strategy: Strategy, options: int, seed: int, starts: Starts, *, quarters: int = 1
    ) -> tuple[int, float]:
        """Take the stated settings."""
        return 0, 0.0

    def promises(self, directory: Path) -> Mapping[str, Sequence[float]]:
        """There is one shape of nets."""
        return {}

    def cut(self, amount: int | None, seed: int) -> Self:
        """Keep the steps up to an amount; what was learned is learned for the most of them."""
        return self._with(upto=amount)

    def _with(self, **values: Any) -> Self:
        other = copy.copy(self)
        for name, value in values.items():
            object.__setattr__(other, name, value)
        return other

    def train(
        self, strategy: Strategy, names: Sequence[str], settings: Mapping[str, Any], seed: int, starts: Starts
    ) -> dict[str, Acted]:
        """Give what a run learned up to the amount.

        Raises:
            FloatingPointError: if it diverged.
        """
        assert isinstance(starts, Shared)
        key = strategy.name, seed
        if key not in starts.done and key not in starts.failed:
            self.ahead([(strategy, settings, seed)], starts)
        if key in starts.failed:
            raise starts.failed[key]
        learned, seconds = starts.done[key]
        if not np.isfinite(learned.returns).all():
            raise FloatingPointError("a policy is not finite any more")
        upto = self.steps[-1] if self.upto is None else self.upto
        count = list(learned.steps).index(upto) + 1
        return {self.target.name: Acted(self, learned, count, seconds)}

    def final(
        self, strategy: Strategy, names: Sequence[str], settings: Mapping[str, Any], seed: int, starts: Starts
    ) -> dict[str, Acted]:
        """Train what is handed over: with all steps, as any trial."""
        return self.train(strategy, names, settings, seed, starts)

    def protocols(self) -> dict[str, Self]:
        """Pose the problem with half and twice the steps in the sources, and at other step sizes."""
        found = {}
        for name, factor in (("half the steps in the sources", 0.5), ("twice the steps in the sources", 2.0)):
            longer = replace(self.budget, pretrain=max(1, round(factor * self.budget.pretrain)))
            found[name] = self._with(budget=longer)
        for name, factor in (("half the step size", 0.5), ("twice the step size", 2.0)):
            faster = replace(self.budget.learning, lr=factor * self.budget.learning.lr)
            found[name] = self._with(budget=replace(self.budget, learning=faster))
        return found

    def facts(self) -> dict[str, Any]:
        """Say what the report shows of the problem."""
        low, high = self.target.points
        return {
            "title": f"Which way of reuse is best in {self.target.name}?",
            "targets": [
                {
                    "name": self.target.name,
                    "per_class": False,
                    "amount": "step",
                    "unit": "test episode",
                    "asks": self.asks(self.target.name),
                    "episodes": self.budget.episodes,
                    "scale": [low, high],
                    "metric_because": f"a return of {low:g} counts as 0, one of {high:g} as 1",
                }
            ],
            "sources": [{"name": one.name, "context": dict(one.context)} for one in self.sources],
            "backbone": f"mlp {list(self.budget.hidden)}" if self.policy is None else "the caller's policy",
            "weights": None if self.policy is None else module_hash(self.policy),
            "pretrained": self._pretrained(),
            "steps": {"given": self.steps[-1]},
        }

    def _pretrained(self) -> str:
        if self.policy is not None:
            return "the caller's own"
        if not self.sources:
            return "no"
        return f"in the sources, {self.budget.pretrain} steps, anew for every seed"


def _lesson(strategy: Strategy, trial: Trial) -> Lesson:
    lesson = strategy.run(trial)
    if not isinstance(lesson, Lesson):
        what, found = f"what strategy {strategy.name!r} gives", type(lesson).__name__
        raise wrong(what, expected="a `Lesson`", found=found, error=TypeError)
    return lesson


@dataclass(frozen=True, eq=False)
class Acted:
    """What one run gave: its policy after so many looks, and the returns of the test episodes."""

    problem: Problem
    learned: Learned
    count: int
    seconds: float

    @property
    def policy(self) -> Net:
        """The policy, with a head of the target's name."""
        net = self.learned.policies[self.count - 1]
        return Net(net.backbone, {_head(self.problem.target): net.heads[HEAD]})

    @property
    def record(self) -> dict[str, Any]:
        """Facts for the trial's file."""
        world, returns = self.problem.target, self.learned.returns[: self.count]
        steps = self.learned.steps[: self.count]
        curve = scaled(world, returns.mean(1))
        reached = next((at for at, value in zip(steps, curve, strict=True) if value >= SOLVED), None)
        return {
            "score": float(self.problem.counted(world.name, returns, self.truth).mean()),
            "measures": {
                "score": float(curve[-1]),
                "area": float(area(scaled(world, returns), steps).mean()),
                "return": float(returns[-1].mean()),
                "time_to": reached,
            },
            "seconds": self.seconds,
            "trained_parameters": count_parameters(self.policy),
            "curves": {},
            "told": {"steps": list(steps), "curve": [float(f"{value:.5g}") for value in curve]},
            "rows": steps[-1],
        }

    @property
    def answers(self) -> NDArray[Any]:
        """The return of each test episode at each look, ``(looks, episodes)``."""
        return np.asarray(self.learned.returns[: self.count])

    @property
    def truth(self) -> dict[str, NDArray[Any]]:
        """The steps of all looks."""
        return {"steps": np.asarray(self.learned.steps)}

    @property
    def picture(self) -> str:
        """Draw an episode of the policy, in a world on our own equations."""
        drawn = self.problem.target.physics is not None
        return film(self.policy, self.problem.target) if drawn else ""

    @property
    def plane(self) -> dict[str, Any]:
        """There are no rows of two sides."""
        return {}

    def save(self, directory: Path, notes: Mapping[str, Any]) -> None:
        """Write the policy: a net whose classes are the actions, and whose columns are the observations."""
        world = self.problem.target
        rows = TableEncoding.plain([f"o{at}" for at in range(world.observations)])
        kinds = {_head(world): Multiclass(world.actions_count)}
        told = {"world": world.name, "context": dict(world.context)}
        save(self.policy, directory, kinds=kinds, encoding=rows, notes={**notes, **told})


def _head(world: World) -> str:
    return world.name.replace(".", "_")  # no part of a net may have a dot in its name


def _told(world: World) -> str:
    parts = [world.env if isinstance(world.env, str) else _named(world.env)]
    parts += [str(sorted(world.context.items())), str(world.actions), str(world.points)]
    return " ".join([*parts, *([_named(world.features)] if world.features is not None else [])])


def _named(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__name__)}"
