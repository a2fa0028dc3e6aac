"""What is to be run: plain values that every process of a comparison gets."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ..errors import unknown, wrong
from ..strategies import Strategy, pair
from ..strategies.recipes.jointly import PREFIX
from .question import Choice, Question

Cell = tuple[str, int | None, int]  # strategy, amount, and the option's or the seed's number


@dataclass(frozen=True, eq=False)
class Plan:
    """Hold what every process needs to know.

    Args:
        problem: what is asked.
        strategies: by name, in the order of the rows.
        targets: the targets that each strategy applies to.
        amounts: smallest first.
        seeds: in the order of the scores.
        directory: where cells and models lie.
        fingerprint: of what results depend on, so that cells tell which comparison they are of.
        deadline: what ``time.monotonic`` says after which no cell is begun.
        looks: seeds at which it is looked whether more are needed, and the level spent at each; none
            where all seeds run.
        least: the smallest gain that matters.
        baseline: what gains are measured against, where it is named: nothing is chosen then.
        confirm: whether half of the test rows choose, and the others confirm.
        left_out: ways that were added to tell sources apart: the way that each is of, and what it leaves out.
        promises: what frozen features of each of several backbones scored on held-out rows, by seed.
        shifts: how each target with bare rows differs from the sources, before training.
        choices: how each strategy's settings are chosen, by strategy and amount.
    """

    problem: Question
    strategies: Mapping[str, Strategy]
    targets: Mapping[str, Sequence[str]]
    amounts: Sequence[int | None]
    seeds: Sequence[int]
    directory: Path
    fingerprint: str = ""
    deadline: float | None = None
    looks: Mapping[int, float] = field(default_factory=dict)
    least: float = 0.01
    baseline: str = ""
    confirm: bool = False
    left_out: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    promises: Mapping[str, Sequence[float]] = field(default_factory=dict)
    shifts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    choices: dict[tuple[str, int | None], Choice] = field(default_factory=dict)

    def options(self, name: str, amount: int | None) -> int:
        """Count the settings that a strategy tries."""
        return self.choice(name, amount).options

    @property
    def family(self) -> list[str]:
        """The strategies without reuse that gains are measured against."""
        names = [self.baseline] if self.baseline else self.problem.family()
        return [name for name in names if name in self.strategies]

    def file(self, sort: str, cell: Cell, repeat: int | None = None) -> Path:
        """Name the file of a cell, among ``"settings"`` (with a repeat) or ``"trials"``."""
        name, amount, number = cell
        words = [name, "all" if amount is None else str(amount), str(number)]
        return self.directory / sort / f"{'-'.join(words + [str(repeat)] * (repeat is not None))}.json"

    def late(self) -> bool:
        """Tell whether the time is over."""
        return self.deadline is not None and time.monotonic() > self.deadline

    def choice(self, name: str, amount: int | None) -> Choice:
        """Say how a strategy's settings are chosen; asked of the problem once."""
        if (name, amount) not in self.choices:
            found = self.problem.choice(self.strategies[name], amount)
            idle = found.options < 2 and not found.across  # nothing to choose among
            if self.baseline and idle:  # and no baseline to choose
                found = replace(found, how="stated defaults", when="never")
            self.choices[name, amount] = found
        return self.choices[name, amount]

    def cells(self) -> int:
        """Count the cells: settings to try, and trials."""
        tried = sum(
            self.options(name, amount) * self.problem.repeats
            for name in self.strategies
            for amount in self.amounts
            if self.choice(name, amount).when == "before"
        )
        seeds = min(self.looks) if self.looks else len(self.seeds)
        return tried + len(self.strategies) * len(self.amounts) * seeds


@dataclass(frozen=True)
class Asked:
    """Hold which of the strategies that were asked for apply.

    Args:
        strategies: those that do, by name.
        targets: the targets that each applies to.
        skipped: why the others do not.
    """

    strategies: dict[str, Strategy]
    targets: dict[str, list[str]]
    skipped: dict[str, str]


def applicable(
    problem: Question, strategies: str | Strategy | Sequence[str | Strategy] = "auto", *, baseline: str = ""
) -> Asked:
    """Find the strategies that apply to a problem, and say why the others do not.

    Args:
        problem: the user's.
        strategies: ``"auto"`` for all of the library's that apply, but for its further ones; or names, of
            the library's or of another package's entry points ``strategies.NAME`` in the group
            ``headstart.methods``; or strategies as values; those without reuse are always among them.
        baseline: a strategy that gains are measured against in place of the best without reuse, which
            then only run where they are asked for.

    Raises:
        ValueError: for an unknown name, two strategies of one name, or where none applies.

    Example:
        >>> import torch
        >>> from headstart.tasks import Labelled, Multiclass, Task
        >>> from headstart.comparison import Problem
        >>> rows = Labelled(torch.randn(8, 4), torch.arange(8) % 2)
        >>> asked = applicable(Problem(Task("new", Multiclass(2), rows, test=rows)))
        >>> "scratch" in asked.strategies, asked.skipped["multitask"]
        (True, 'there is no source to train with')
    """
    wanted, named = resolve(problem, strategies), with_family(problem, strategies, baseline)
    targets: dict[str, list[str]] = {}
    skipped: dict[str, str] = {}
    for name, strategy in named.items():
        reasons = {target: problem.applies(strategy, target) for target in problem.names}
        targets[name] = [target for target, reason in reasons.items() if not reason]
        if not targets[name] and (name in wanted or name == baseline):
            skipped[name] = next(iter(reasons.values()))
    found = {name: strategy for name, strategy in named.items() if targets[name]}
    if not found:
        why = ", ".join(f"{name}: {reason}" for name, reason in skipped.items())
        hint = "give the target labels, or a source with its classes and rows without labels"
        raise wrong("problem", expected="one that a strategy applies to", found=f"none ({why})", hint=hint)
    return Asked(found, {name: targets[name] for name in found}, skipped)


def with_family(
    problem: Question, strategies: str | Strategy | Sequence[str | Strategy], baseline: str = ""
) -> dict[str, Strategy]:
    """Add what gains are measured against; it stands first unless it is asked for elsewhere."""
    found, known = resolve(problem, strategies), forms(problem)
    family = [baseline] if baseline else problem.family()
    return {name: named(name, known) for name in family if name not in found} | found


def forms(problem: Question) -> dict[str, Strategy]:
    """List the problem's strategies by name, each in all that it runs as; also those that "auto" leaves."""
    return {form.name: form for one in _all(problem).values() for form in problem.forms(one)}


def _all(problem: Question) -> dict[str, Strategy]:
    return {**problem.strategies(), **problem.further()}


def resolve(problem: Question, strategies: str | Strategy | Sequence[str | Strategy]) -> dict[str, Strategy]:
    """Turn names into strategies, in the order that they are asked for."""
    known = forms(problem)
    asked = [strategies] if isinstance(strategies, str | Strategy) else list(strategies)
    found: dict[str, Strategy] = {}
    for one in asked:
        if isinstance(one, Strategy):
            several = problem.forms(one)
        elif one == "auto":
            several = [form for one in problem.strategies().values() for form in problem.forms(one)]
        elif not isinstance(one, str):
            hint = "a way of your own is a `headstart.Strategy`"
            expected = "a name, or a `Strategy`"
            raise wrong(
                "each of `strategies`", expected=expected, found=repr(one), hint=hint, error=TypeError
            )
        else:
            several = [known[one]] if one in known else problem.forms(named(one, _all(problem)))
        for strategy in several:
            if found.get(strategy.name, strategy) != strategy:
                hint = "give one of them another name"
                raise wrong("names of strategies", expected="distinct", found=strategy.name, hint=hint)
            found[strategy.name] = strategy
    return found


def named(name: str, known: Mapping[str, Strategy], what: str = "strategy") -> Strategy:
    """Find a strategy by name among those known, else among the entry points of other packages.

    Raises:
        ValueError: for an unknown name, or an entry point that is no strategy.
    """
    if name in known:
        return known[name]
    if name.startswith(PREFIX):
        return pair(name)
    points = {point.name: point for point in entry_points(group="headstart.methods")}
    if f"strategies.{name}" not in points:
        others = [n.removeprefix("strategies.") for n in points if n.startswith("strategies.")]
        raise unknown(what, name, [*known, *others])
    point = points[f"strategies.{name}"]
    loaded = point.load()
    if not isinstance(loaded, Strategy):
        expected, found = "a `headstart.Strategy`", f"{type(loaded).__name__} at {point.value}"
        raise wrong(f"strategy {name!r} of another package", expected=expected, found=found)
    return loaded


def check_picklable(strategies: Mapping[str, Strategy]) -> None:
    """Raise ``ValueError`` that names a strategy which cannot reach another process."""
    for name, strategy in strategies.items():
        try:
            pickle.dumps(strategy)
        except Exception as error:
            raise wrong(
                f"strategy {name!r}",
                expected="of functions that other processes can import, where `workers` is above 1",
                found=str(error),
                hint="define `run` and `needs` at the top of a module, or pass `workers=1`",
            ) from None
