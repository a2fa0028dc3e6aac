"""One way of reuse, as a value that anyone may make and pass to ``compare``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import unknown, wrong
from .posing import answering, posed
from .trial import Trained, Trial

Setting = float | str | bool | list[float] | list[str]
NAME = re.compile(r"[A-Za-z0-9+\-_.@:]+")


def nothing(situation: object) -> str:
    """Say that a strategy needs nothing beyond a target."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """Describe one way of reuse: a complete recipe, and what a reader of the report has to know of it.

    Args:
        name: letters, digits and ``+ - _ . @ :``.
        run: trains a net for a ``Trial``; of worlds it says how to learn in one (``rl.Trial``). A function
            of a module, so that it reaches other processes.
        summary: one phrase for tables and the report.
        options: settings to choose from, each a mapping of numbers, words, switches or lists of them;
            the first is the stated default. At least one, all with the same keys.
        needs: tells why a situation does not meet its needs, or ``""``.
        learns: what of the target it learns from: its ``"labels"``, its ``"unlabelled"`` rows, or ``"both"``;
            ``"source"`` for nothing of it, but from sources with its kind of answer.
        reused: what knowledge it takes over.
        frozen: what does not move while the target is learned.
        paper: where it is from, as a link.
        builds: whether it takes the problem's backbone; classical learners on the rows as they are do not.
        backbone: of several backbones of a problem, the one that it takes.
        aligns: whether it makes the features of two domains agree, which does harm where the classes come
            in other shares: such a way is then not recommended.
        unlike: whether it learns from sources whose rows have other columns than the target's, as few do.

    Raises:
        ValueError: if the name holds other signs, or there is no option, or options differ in their keys.

    Example:
        >>> from headstart.strategies import STRATEGIES
        >>> mine = STRATEGIES["finetune"].fixed("finetune-slow", {"lr": 1e-5})
        >>> mine.name, mine.options
        ('finetune-slow', ({'lr': 1e-05},))
    """

    name: str
    run: Callable[[Any], Any]
    summary: str
    options: Sequence[Mapping[str, Setting]] = ({},)
    needs: Callable[[Any], str] = nothing
    learns: Literal["labels", "unlabelled", "both", "source"] = "labels"
    reused: str = "nothing"
    frozen: str = "nothing"
    paper: str = ""
    builds: bool = True
    backbone: str = ""
    aligns: bool = False
    unlike: bool = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            expected = "letters, digits and + - _ . @ : alone"
            raise wrong("`name` of a strategy", expected=expected, found=f'"{self.name}"')
        object.__setattr__(self, "options", tuple(self.options))
        keys = [sorted(option) for option in self.options]
        if not keys or any(names != keys[0] for names in keys):
            expected = "at least one, all with the same keys"
            raise wrong(f"`options` of strategy {self.name!r}", expected=expected, found=keys)
        if self.learns not in LEARNS:
            raise unknown(f"`learns` of strategy {self.name!r}", str(self.learns), LEARNS)

    def learn(self, trial: Trial) -> Trained:
        """Run it: it meets numbers in units of the trial's own rows, and the net answers in the user's."""
        problem = posed(trial.problem)
        trained: Trained = self.run(replace(trial, problem=problem))
        return replace(trained, net=answering(trained.net, problem.targets))

    def settings(self, given: Mapping[str, Setting]) -> dict[str, Setting]:
        """Complete some settings by the stated defaults.

        Raises:
            ValueError: for an unknown setting, or a value that is not like the default.
        """
        for key, value in given.items():
            if key not in self.options[0]:
                raise unknown(f"setting of strategy {self.name!r}", key, self.options[0])
            if expected := _unlike(self.options[0][key], value):
                raise wrong(f"`{key}` of strategy {self.name!r}", expected=expected, found=_shown(value))
        return {**self.options[0], **given}

    def fixed(self, name: str, given: Mapping[str, Setting]) -> Strategy:
        """Return this strategy under another name with some settings fixed; the others stay to be chosen.

        Raises:
            ValueError: for a setting that it does not have.
        """
        self.settings(given)
        options: list[dict[str, Setting]] = []
        for option in self.options:
            if (whole := {**option, **given}) not in options:
                options.append(whole)
        told = ", ".join(f"{key} = {value}" for key, value in given.items())
        return replace(
            self, name=name, options=options, summary=f"{self.summary}; {told}" if told else self.summary
        )


def _unlike(default: Setting, value: Setting) -> str:
    """Say what a setting should be, where a value is of another sort than the default."""
    sorts: tuple[tuple[Any, str], ...] = (
        (bool, "true or false"), (int | float, "a number"), (str, "a word"), (list, "a list"),
    )  # fmt: skip
    sort, words = next((sort, words) for sort, words in sorts if isinstance(default, sort))
    alike = isinstance(value, sort) and isinstance(value, bool) == isinstance(default, bool)
    if sort == int | float and default > 0:  # type: ignore[operator]
        words += " above 0"
        alike = alike and 0 < value < float("inf")  # type: ignore[operator]
    return "" if alike else words


def _shown(value: Setting) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


LEARNS = ("labels", "unlabelled", "both", "source")


def rates(*values: float, name: str = "lr") -> list[dict[str, float]]:
    """Make the options of a strategy with one setting, the default first.

    Example:
        >>> rates(1e-3, 3e-3)
        [{'lr': 0.001}, {'lr': 0.003}]
    """
    return [{name: value} for value in values]
