"""Which runs tell the sources apart: the way in front, without each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..strategies import Strategy
from .judging import Options, followed_at
from .plan import Plan
from .sources import found, without
from .tables import read_trials
from .trials import Seeds
from .verdicts import ENOUGH


def asked(plan: Plan, options: Options) -> dict[str, tuple[Strategy, str, list[str]]]:
    """List the ways to add to tell the sources apart: the way that each is of, and what it leaves out.

    The way in front at the largest amount runs without each source, if its needs are met then; where
    several turn out to harm, without all of them as well.
    """
    names = plan.problem.sources_of()
    if len(names) < 2:
        return {}
    way = _front(plan, options)
    strategy, amount = plan.strategies.get(way or ""), plan.amounts[-1]
    if way is None or strategy is None or len(read_trials(plan)[way, amount]) < ENOUGH:
        return {}
    fixed = None
    if plan.choice(way, amount).when != "within":
        fixed = strategy.options[options[way, amount]]
    wanted = [[name] for name in names]
    harming = [told["source"] for told in found(plan, read_trials(plan)) if told["verdict"] == "harms"]
    if 1 < len(harming) < len(names):
        wanted.append(harming)
    ways = {}
    for left in wanted:
        one = without(strategy, left, fixed)
        if one.name not in plan.strategies and not plan.problem.applies_without(strategy, left):
            ways[one.name] = one, way, left
    return ways


def due(plan: Plan, ways: Mapping[str, tuple[Strategy, str, list[str]]]) -> Seeds:
    """Give added ways the seeds of the ways that they are of, at the largest amount."""
    there, amount = read_trials(plan), plan.amounts[-1]
    return {(name, amount): list(there[way, amount]) for name, (_, way, _) in ways.items()}


def added(plan: Plan, ways: Mapping[str, tuple[Strategy, str, list[str]]]) -> Plan:
    """Add ways to a plan."""
    strategies = dict(plan.strategies) | {name: one for name, (one, _, _) in ways.items()}
    targets = dict(plan.targets) | {name: plan.targets[way] for name, (_, way, _) in ways.items()}
    left = dict(plan.left_out) | {name: (way, tuple(left)) for name, (_, way, left) in ways.items()}
    return replace(plan, strategies=strategies, targets=targets, left_out=left)


def _front(plan: Plan, options: Options) -> str | None:
    """Name the way to look at: what is recommended if it learns from sources, else the highest that does."""
    if plan.left_out:
        return next(iter(plan.left_out.values()))[0]
    trials, target = read_trials(plan), plan.problem.names[0]
    followed = followed_at(plan, options, trials, target, plan.amounts[-1])
    if followed is None:
        return None
    ways = followed.judged.ways
    learning = [
        n for n in ways if plan.problem.applies_without(plan.strategies[n], plan.problem.sources_of())
    ]
    if followed.judged.recommended in learning:
        return followed.judged.recommended
    sign = plan.problem.scored_by(target).sign
    return max(learning, key=lambda n: sign * ways[n]["mean"], default=None)
