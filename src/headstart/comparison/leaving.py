"""Which runs tell the sources apart: the ways in front, without each of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..strategies import Strategy
from .judging import Options, followed_at
from .plan import Plan
from .sources import found, without
from .tables import read_trials, scored
from .trials import Seeds
from .verdicts import ENOUGH

ALONE = 8  # sources beyond which none is learned from alone

Ways = Mapping[str, tuple[Strategy, str, list[str]]]  # a run, the way that it is of, and what it leaves out


@dataclass(frozen=True)
class Asking:
    """Say what is to be asked of the sources.

    Args:
        ways: that learn from them: the one in front, the highest of the other sort, and the baseline.
        sources: in the order in which they are left out.
        alone: whether each is learned from alone as well.
        singly: whether the time may not suffice, so that one run is made after the other.
    """

    ways: Sequence[str]
    sources: Sequence[str]
    alone: bool
    singly: bool


def asking(plan: Plan, options: Options) -> Asking:
    """Find what is to be asked of the sources; suspects stand first where the time may not suffice for all.

    Where no row of the target has a label, even the baseline learns from the sources.
    """
    names = list(plan.problem.sources_of())
    if len(names) < 2 or plan.late():
        return Asking([], names, alone=False, singly=False)
    ways, alone = _ways(plan, options)
    alone = alone and bool(ways) and len(names) <= ALONE
    asked = Asking(ways, names, alone, singly=_cost(plan, ways, len(names) * (1 + alone)) > _left(plan))
    return replace(asked, sources=list(plan.problem.suspects())) if asked.singly else asked


def asked(plan: Plan, options: Options, asking: Asking) -> dict[str, tuple[Strategy, str, list[str]]]:
    """List the ways to add next: the way that each is of, and what it leaves out.

    Each way runs at the largest amount without each source, the first on each source alone where that is
    asked, if its needs are met then; where several turn out to harm, without all of them as well.
    """
    names, ways = list(plan.problem.sources_of()), {}
    wanted = [(way, [name]) for way in asking.ways for name in asking.sources]
    if asking.alone:
        first = asking.ways[0]
        wanted[len(names) : len(names)] = [(first, [n for n in names if n != one]) for one in asking.sources]
    told = [row for row in found(plan, read_trials(plan)) if row["verdict"] == "harms"]
    for way in asking.ways:
        harming = [row["source"] for row in told if row["strategy"] == way]
        if 1 < len(harming) < len(names):
            wanted.append((way, harming))
    for way, left in wanted:
        strategy, fixed, amount = plan.strategies[way], None, plan.amounts[-1]
        if plan.choice(way, amount).when != "within":
            fixed = strategy.options[options[way, amount]]
        one = without(strategy, left, fixed)
        if one.name not in plan.strategies and not plan.problem.applies_without(strategy, left):
            ways[one.name] = one, way, left
    return dict(list(ways.items())[:1]) if asking.singly else ways


def due(plan: Plan, ways: Ways) -> Seeds:
    """Give added ways the seeds of the ways that they are of, at the largest amount."""
    there, amount = read_trials(plan), plan.amounts[-1]
    return {(name, amount): list(there[way, amount]) for name, (_, way, _) in ways.items()}


def added(plan: Plan, ways: Ways) -> Plan:
    """Add ways to a plan."""
    strategies = dict(plan.strategies) | {name: one for name, (one, _, _) in ways.items()}
    targets = dict(plan.targets) | {name: plan.targets[way] for name, (_, way, _) in ways.items()}
    left = dict(plan.left_out) | {name: (way, tuple(left)) for name, (_, way, left) in ways.items()}
    return replace(plan, strategies=strategies, targets=targets, left_out=left)


def _ways(plan: Plan, options: Options) -> tuple[list[str], bool]:
    """Name the ways to look at, and tell whether the baseline is one that learns from sources.

    The first is what is recommended if it learns from sources, else the highest that does. A source may spoil
    the answers of one sort of ways and serve the features of the other, so the highest of each is asked.
    """
    trials, target, amount = read_trials(plan), plan.problem.names[0], plan.amounts[-1]
    followed = followed_at(plan, options, trials, target, amount)
    if followed is None:
        return [], False
    judged, everything = followed.judged, plan.problem.sources_of()
    learning = [n for n in judged.ways if plan.problem.applies_without(plan.strategies[n], everything)]
    sign = plan.problem.scored_by(target).sign
    learning.sort(key=lambda n: (n != judged.recommended, -sign * judged.ways[n]["mean"]))
    sorts = {plan.problem.takes_answers(plan.strategies[n]): n for n in reversed(learning)}
    untold = judged.best if plan.choice(judged.recommended, amount).across else ""  # by no label in front
    ways = [n for n in learning if n in (*sorts.values(), judged.baseline, untold)]
    return [n for n in ways if len(trials[n, amount]) >= ENOUGH], judged.baseline in learning


def _cost(plan: Plan, ways: Sequence[str], runs: int) -> float:
    """Guess the seconds that so many runs of each way take, in one process."""
    trials, amount, target = read_trials(plan), plan.amounts[-1], plan.problem.names[0]
    return runs * sum(facts["seconds"] for n in ways for facts in scored(trials[n, amount], target).values())


def _left(plan: Plan) -> float:
    return float("inf") if plan.deadline is None else plan.deadline - time.monotonic()
