"""What ``compare`` asks of a problem, whatever its field.

``hs.Problem`` answers from rows with labels; a problem of environments in place of rows gives the same
answers, and nothing in this room asks which of the two it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from numpy.typing import NDArray

from ..maths.twoway import Numbers
from ..strategies import Starts, Strategy


@dataclass(frozen=True)
class Metric:
    """Say how scores of one target are read.

    Args:
        name: as in ``result.json``.
        higher_is_better: which way is up.
        bounds: what no score can leave; an interval ends there.
        ratio: whether gains are ratios of errors, because the score has no scale of its own.
    """

    name: str
    higher_is_better: bool = True
    bounds: tuple[float, float] = (float("-inf"), float("inf"))
    ratio: bool = False

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True)
class Choice:
    """Say how a strategy's settings are chosen.

    Args:
        how: in words, for the report.
        when: ``"before"`` the trials, once for all seeds; ``"within"`` each trial, on a part of its own
            rows; or ``"never"``: the stated default is taken.
        options: how many settings are tried.
        across: whether the values of all ways are held against each other: the best of them is recommended,
            because no label of the target may choose.
    """

    how: str
    when: Literal["before", "within", "never"]
    options: int = 1
    across: bool = False


class Outcome(Protocol):
    """What one training gave for one target."""

    @property
    def record(self) -> Mapping[str, Any]:
        """Facts for the trial's file, as JSON: ``score``, all ``measures``, ``seconds``,
        ``trained_parameters``, ``curves``; where no row has a label, ``unlabelled`` for the alarms.
        """

    @property
    def answers(self) -> NDArray[Any]:
        """What was said of each test row, as small as the scores allow."""

    @property
    def truth(self) -> Mapping[str, NDArray[Any]]:
        """What is right of each test row, the same for every trial."""

    @property
    def picture(self) -> str:
        """What was learned at work, as an SVG; ``""`` where it cannot be drawn."""

    @property
    def plane(self) -> Mapping[str, Any]:
        """Features of both sides of a shift on a plane, as JSON; empty where there is none."""

    def save(self, directory: Path, notes: Mapping[str, Any]) -> None:
        """Write the model."""


class Question(Protocol):
    """What ``compare`` asks of a problem.

    Amounts are what is varied along a learning curve: labelled rows per class, or steps in a world;
    ``None`` is all there is. Everything is a function of the arguments and of the problem alone, and the
    problem can be pickled, so that any worker process gives the same answers.
    """

    @property
    def repeats(self) -> int:
        """How often each option is tried, where options are tried before the trials."""

    @property
    def names(self) -> Sequence[str]:
        """The targets, each scored by its own metric."""

    @property
    def importance(self) -> Mapping[str, float]:
        """By how much a target counts in the mean over all of them; 1 where it is left out."""

    @property
    def no_harm(self) -> Sequence[str]:
        """The targets that what is recommended over all must not harm."""

    def scored_by(self, name: str) -> Metric:
        """Say how a target is scored."""

    def asks(self, name: str) -> str:
        """Say what an answer is."""

    def amounts(self) -> Sequence[int | None]:
        """The amounts to try, smallest first; at least one."""

    def strategies(self) -> Mapping[str, Strategy]:
        """The strategies that ``"auto"`` means, by name."""

    def further(self) -> Mapping[str, Strategy]:
        """Strategies that run where they are named, and not by ``"auto"``."""

    def forms(self, strategy: Strategy) -> Sequence[Strategy]:
        """List what a strategy runs as: itself, or one for each of several backbones."""

    def applies(self, strategy: Strategy, name: str) -> str:
        """Tell why a strategy does not apply to a target, or ``""``."""

    def sources_of(self) -> Sequence[str]:
        """Name the sources, each of which may be left out."""

    def suspects(self) -> Sequence[str]:
        """Name the sources, the likeliest to harm first where that costs little; else as they are given."""

    def applies_without(self, strategy: Strategy, sources: Sequence[str]) -> str:
        """Tell why a strategy does not apply where some sources are left out, or ``""``."""

    def without(self, names: Sequence[str]) -> Self:
        """Leave some sources out."""

    def takes_answers(self, strategy: Strategy) -> bool:
        """Tell whether a strategy takes the sources' answers for the target's, which contradictions harm."""

    def family(self) -> Sequence[str]:
        """Name the strategies that reuse nothing: gains are measured against the best of them."""

    def floor(self) -> str:
        """Name the strategy that looks at no input, or ``""``: what does not clear it does not work."""

    def counted(self, name: str, answers: NDArray[Any], truth: Mapping[str, NDArray[Any]]) -> Numbers:
        """Say what each test row, or group of rows, counts towards a target's score, which is their mean."""

    def alarms(
        self, name: str, seen: Sequence[Mapping[str, Any]], sources: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Tell what looks wrong in answers to a target's rows without labels, by no label of it.

        ``seen`` is what the records of a way's trials hold under ``unlabelled``, ``sources`` are those that
        it learned from.
        """

    def check(self) -> None:
        """Raise or warn, before anything runs, of what would spoil the comparison."""

    def hashes(self) -> Mapping[str, str]:
        """Hash all that a result depends on, but the strategies and the seeds, by what a user calls it."""

    def shifts(self, directory: Path) -> Mapping[str, Mapping[str, Any]]:
        """Say, before anything is trained, how targets with bare rows differ from the sources, by name.

        Facts as JSON, ``kind`` among them; what is computed of rows is kept in ``directory``.
        """

    def starts(self, directory: Path) -> Starts:
        """Make what the cells of one job share, kept features in ``directory``."""

    def grouped(self, seeds: Sequence[int], workers: int) -> Sequence[Sequence[int]]:
        """Say which seeds' trials make one job, because they share what is made once or train together."""

    def ahead(self, ways: Sequence[tuple[Strategy, Mapping[str, Any], int]], starts: Starts) -> None:
        """Do before the trials of a job what is cheaper for all of them together.

        ``ways`` are the strategies that are due, each with its settings and its seed.
        """

    def choice(self, strategy: Strategy, amount: int | None) -> Choice:
        """Say how a strategy's settings are chosen at an amount."""

    def judge(
        self,
        strategy: Strategy,
        option: int,
        amount: int | None,
        repeat: int,
        starts: Starts,
        shifts: Mapping[str, Mapping[str, Any]],
    ) -> tuple[float, float]:
        """Score one option without the test rows: the value to raise, and a guard not to fall under.

        ``shifts`` are what ``shifts`` gave.
        """

    def promises(self, directory: Path) -> Mapping[str, Sequence[float]]:
        """Score frozen features of each of several backbones on held-out rows, by seed; higher is better.

        Of none where there is one backbone, or no rows to tell by. What is computed of rows is kept in
        ``directory``.
        """

    def choose(
        self, strategy: Strategy, options: int, seed: int, starts: Starts, *, quarters: int = 1
    ) -> tuple[int, float]:
        """Choose among the first ``options`` on quarters of this trial's own rows; say what the best got."""

    def cut(self, amount: int | None, seed: int) -> Self:
        """Keep an amount, the same for every strategy at a seed."""

    def train(
        self, strategy: Strategy, names: Sequence[str], settings: Mapping[str, Any], seed: int, starts: Starts
    ) -> Mapping[str, Outcome]:
        """Train for each target that is named and score it, touching its test rows once.

        A strategy that learns several targets at once is run once for all that it gives a head for.
        """

    def final(
        self, strategy: Strategy, names: Sequence[str], settings: Mapping[str, Any], seed: int, starts: Starts
    ) -> Mapping[str, Outcome]:
        """Train what is handed over, as ``train`` does, with probabilities that fit rows held out."""

    def protocols(self) -> Mapping[str, Self]:
        """Pose the same question as another person might have, each time with one choice made otherwise."""

    def facts(self) -> Mapping[str, Any]:
        """Say what the report shows of the problem: ``title``, ``targets``, ``sources``, ``backbone``."""
