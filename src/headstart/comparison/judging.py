"""What is judged: the tables of all ways, and the baselines that held-out rows cannot tell from the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..maths import twoway
from ..maths.twoway import TwoWay
from . import cells, choice, sources, verdicts
from .diagnosing import ALIGNMENT_HARMS
from .plan import Plan
from .tables import Trials, read_trials, scored, tables_of
from .trials import Seeds
from .verdicts import LEVEL, Field, Followed

Options = Mapping[tuple[str, int | None], int]
NEAR = 0.5  # standard errors behind the best, up to which held-out rows do not tell a way from it


def more_seeds(plan: Plan, options: Options) -> Seeds:
    """Say which strategies need more seeds, by amount; none where all is decided."""
    if not plan.looks:
        return {}
    found = read_trials(plan)
    due: dict[tuple[str, int | None], Sequence[int]] = {}
    for amount in plan.amounts:
        for target in plan.problem.names:
            followed = followed_at(plan, options, found, target, amount)
            for name in followed.next if followed is not None else ():
                seeds = [s for s in plan.seeds[: followed.upto] if s not in found[name, amount]]  # type: ignore[union-attr]
                due[name, amount] = sorted({*due.get((name, amount), ()), *seeds}, key=plan.seeds.index)
    return {cell: seeds for cell, seeds in due.items() if seeds}


def followed_at(
    plan: Plan, options: Options, found: Trials, target: str, amount: int | None
) -> Followed | None:
    """Judge one target at one amount; None where no trial has a score."""
    tables, instead = tables_of(plan, found, target, amount), sources.instead(plan, found)
    tables = {name: t for name, t in tables.items() if name not in plan.left_out or name in instead.values()}
    if not tables:
        return None
    family, floor = plan.family, plan.problem.floor()
    costs = {}
    for name in tables:
        facts = list(scored(found[name, amount], target).values())
        seconds = sum(f["seconds"] for f in facts) / len(facts)
        costs[name] = seconds, float(facts[0]["trained_parameters"] or 0)
    asked = Field(
        plan.problem.scored_by(target),
        tables,
        [name for name in family if name in tables],
        chosen(plan, options, found, amount, [n for n in family if n in tables]),
        floor if floor in tables else None,
        plan.least,
        costs,
        instead=instead,
        worth={n: w for n, w in worth(plan, options, target, amount).items() if n not in instead},
    )
    if plan.looks:
        return verdicts.follow(asked, plan.looks)
    judged = verdicts.judge(asked, LEVEL)
    count = len(next(iter(tables.values())))
    return Followed(judged, dict.fromkeys(tables, count), LEVEL, (), count)


def worth(plan: Plan, options: Options, target: str, amount: int | None) -> dict[str, float]:
    """Say how far each way is to be trusted, where no label of the target may choose; else of none.

    Ways whose guard does not hold are left out, and under label shift those that align features.
    """
    pairs = {}
    for name in plan.strategies:
        if target in plan.targets[name] and plan.choice(name, amount).across:
            scores = [score for score in _judged(plan, options, name, amount) if math.isfinite(score[0])]
            if scores:
                pairs[name] = choice.averaged(scores)
    fit = [name for name in pairs if name not in refused(plan, target)] or list(pairs)
    kept = choice.guarded([pairs[name] for name in fit]) if fit else []
    return {fit[i]: pairs[fit[i]][0] for i in kept}


def refused(plan: Plan, target: str) -> list[str]:
    """Name the ways that align features, where the diagnosis says that this does harm."""
    harms = plan.shifts.get(target, {}).get("kind") == ALIGNMENT_HARMS
    return [name for name, one in plan.strategies.items() if harms and one.aligns]


def _judged(plan: Plan, options: Options, name: str, amount: int | None) -> list[tuple[float, float]]:
    """Read what a way's chosen settings were worth, by repeat: values and guards."""
    cell = (name, amount, options[name, amount])
    files = [plan.file("settings", cell, repeat) for repeat in range(plan.problem.repeats)]
    return [tuple(cells.read(f)["score"]) for f in files if f.exists()]


def leader(plan: Plan, options: Options) -> tuple[str, str] | None:
    """Name what is recommended at the largest amount and its baseline; None where they are the same."""
    followed = followed_at(plan, options, read_trials(plan), plan.problem.names[0], plan.amounts[-1])
    if followed is None or followed.judged.recommended == followed.judged.baseline:
        return None
    return followed.judged.recommended, followed.judged.baseline


def chosen(
    plan: Plan, options: Options, found: Trials, amount: int | None, family: Sequence[str]
) -> list[str]:
    """List the ways without reuse that held-out rows cannot tell from the best; none without such rows."""
    if plan.baseline:
        return [plan.baseline] if plan.baseline in family else []
    held = {name: _held_out(plan, options, found, name, amount) for name in family}
    if any(not values for values in held.values()) or not held:
        return []
    return in_front(held)


def in_front(held: Mapping[str, Sequence[float]]) -> list[str]:
    """List the ways that held-out rows do not tell from the best, given their scores by repeat or seed."""
    best = max(held, key=lambda name: float(np.mean(held[name])))
    near = []
    for name, values in held.items():
        behind = np.subtract(held[best], values) if len(values) == len(held[best]) else np.zeros(0)
        error = behind.std(ddof=1) / len(behind) ** 0.5 if len(behind) > 1 else 0.0
        if name == best or (len(behind) and behind.mean() <= NEAR * error):
            near.append(name)
    return near


def _held_out(plan: Plan, options: Options, found: Trials, name: str, amount: int | None) -> list[float]:
    """Give a way's scores on held-out rows, or whatever stands in for them, by repeat or seed."""
    how = plan.choice(name, amount)
    if how.when == "within":
        ran = found[name, amount]
        values = [ran[s]["held_out"] for s in plan.seeds if s in ran and "held_out" in ran[s]]
    elif how.when == "before":
        values = [value for value, _ in _judged(plan, options, name, amount)]
    else:
        return []
    return [v for v in values if math.isfinite(v)]


def relative_gains(
    plan: Plan, found: Trials, name: str, base: str, amount: int | None
) -> tuple[list[float], TwoWay] | None:
    r"""Average the relative gains of a way over all targets, by seed and with their errors.

    .. math:: \Delta_m = \sum_k v_k\, (\pm) \frac{M_{m,k} - M_{b,k}}{|M_{b,k}|}

    where :math:`v_k` is each target's share of the importance, :math:`1/K` where all are alike, and the
    baseline ``b`` learns each target alone. The errors by row are of each target's own rows.

    References:
        Maninis, Radosavovic & Kokkinos (CVPR 2019), equation 4, https://arxiv.org/abs/1904.08918
    """
    targets, parts = list(plan.problem.names), []
    for target in targets:
        tables = tables_of(plan, found, target, amount)
        if name not in tables or base not in tables:
            return None
        k = min(len(tables[name]), len(tables[base]))
        ours, theirs = tables[name][:k], tables[base][:k]
        each = np.abs(theirs.mean(1, keepdims=True))
        if not each.all():
            return None
        parts.append(plan.problem.scored_by(target).sign * (ours - theirs) / each)
    k = min(map(len, parts))
    counts = np.array([plan.problem.importance.get(target, 1.0) for target in targets])
    counts = counts / counts.sum()
    by_seed = counts @ np.stack([part[:k].mean(1) for part in parts])
    if k < 2 or any(part.shape[1] < 2 for part in parts):
        nothing = np.zeros((1, 1))
        return by_seed.tolist(), TwoWay(by_seed[:1], nothing, nothing, nothing, 1, 1)
    each = [twoway.two_way(part[:k][None]) for part in parts]
    own = np.atleast_2d(np.var(by_seed, ddof=1) / k)
    by_row = np.sum([c**2 * one.by_row for c, one in zip(counts, each, strict=True)], 0)
    rest = np.sum([c**2 * one.rest for c, one in zip(counts, each, strict=True)], 0)
    rows = min(one.rows for one in each)
    return by_seed.tolist(), TwoWay(np.atleast_1d(by_seed.mean()), own, by_row, rest, k, rows)
