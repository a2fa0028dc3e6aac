"""Which ways gain, which harm and which may be the best: all ways at once, over seeds and test rows.

A way *gains* where it is above the baseline, not more than ``least`` below any other way without reuse,
and by at least ``least``. It *harms* where it is below all that may be the baseline: the highest of these
was seen on the test rows, and below that alone some way would be too often. It is *equal* where the whole
interval lies within ``least`` of 0, and else *open*. The chance that any verdict of one sort is false is
at most ``level``, however many ways there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ..maths import twoway
from ..maths.twoway import Numbers, TwoWay
from .question import Metric

Verdict = Literal["gains", "harms", "equal", "open"]
LEAST = 0.01  # a point of a bounded measure, or of a ratio of errors
LEVEL = 0.05  # one-sided, of a fixed number of seeds
SPENT = {5: 0.005, 8: 0.02, 12: 0.05}  # level at each look, where seeds are added until it is decided
ENOUGH = 3  # seeds below which there is no verdict
POWER = 0.8416  # normal quantile of 80 %: how sure a gain should have been to be seen
BEST = 0.05  # chance that the truly best way is missing from the set


@dataclass(frozen=True, eq=False)
class Field:
    """Hold what is compared, for one target at one amount.

    Args:
        metric: how its scores are read.
        tables: ``(seeds, rows)`` of each way, in the order of the rows; the mean over the rows is the score.
        family: the ways that need no reuse.
        chosen: which of them held-out rows cannot tell from the best of them; none where there are no such
            rows. Gains are measured against the one of these that scores highest.
        floor: the way that looks at no input, if it is among them.
        least: the smallest gain that matters.
        costs: what is preferred where ways are alike: seconds, then trained parameters.
        instead: ways that are recommended in the place of others.
        settled: what earlier looks at fewer seeds said of ways for good.
        worth: how far ways are to be trusted, where no label of the target may choose: the highest is
            recommended, and the test rows only tell what the choice was worth. None else.
    """

    metric: Metric
    tables: Mapping[str, Numbers]
    family: Sequence[str]
    chosen: Sequence[str] = ()
    floor: str | None = None
    least: float = LEAST
    costs: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    settled: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    worth: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Judged:
    """Hold what was found of one target at one amount.

    Args:
        baseline: whose score gains are measured against.
        ways: by name ``gain``, ``gain_ci95``, ``verdict``, ``may_be_best``, ``best_probability``,
            ``ci95`` and, where ``scratch`` ran, ``gain_scratch`` with its interval.
        recommended: what to use.
        outcome: ``"better"``, ``"not better"``, ``"not known yet"`` or ``"nothing works"``.
        gain: of what is recommended, shrunken, with the interval that holds for all ways together.
        gain_ci95: its ends.
        seen: the smallest gain that would have been seen with a chance of about 80 %.
        needed: seeds, or else test rows, that would decide a gain of the size estimated.
        chosen: whether held-out rows chose the baseline; else it is the highest, and a gain is over all.
        rows: test rows, or groups of them.
        highest: which way without reuse scored highest on the test rows.
        over_highest: what the recommended one gains over that.
        best: which way of all scored highest on the test rows.
        cost: what the recommended one is below that.
    """

    baseline: str
    ways: Mapping[str, Mapping[str, Any]]
    recommended: str
    outcome: str
    gain: float | None
    gain_ci95: list[float] | None
    seen: float | None
    needed: Mapping[str, int]
    chosen: bool
    rows: int
    highest: str
    over_highest: float | None
    best: str = ""
    cost: float = 0.0


def judge(asked: Field, level: float = LEVEL) -> Judged:
    """Judge all ways together.

    Args:
        asked: tables of equal shape.
        level: one-sided chance that any way is said to gain, and that any is said to harm, where none does.

    Example:
        >>> g = np.random.default_rng(0)
        >>> def rows(rate): return (g.random((5, 400)) < rate).astype(float)
        >>> ways = {"scratch": rows(0.5), "constant": rows(0.3), "probe": rows(0.7)}
        >>> found = judge(Field(Metric("accuracy"), ways, ["constant", "scratch"], ["scratch"], "constant"))
        >>> found.recommended, found.outcome, found.ways["probe"]["verdict"]
        ('probe', 'better', 'gains')
    """
    names, (seeds, rows) = list(asked.tables), next(iter(asked.tables.values())).shape
    if seeds < 2 or rows < 2:
        return _unsure(asked)
    table = np.stack([upwards(asked.metric, asked.tables[name]) for name in names])
    found, at = twoway.two_way(table), {name: i for i, name in enumerate(names)}
    bases = [name for name in names if name in asked.family]
    reuse = [name for name in names if name not in asked.family]
    base = max(asked.chosen or bases or names, key=lambda name: found.means[at[name]])
    ways: dict[str, dict[str, Any]] = {name: {"verdict": None} for name in names}
    spread = twoway.widths(twoway.differences(found, range(len(names)), None))
    for name, half in zip(names, spread, strict=True):
        ends = found.means[at[name]] - half, found.means[at[name]] + half
        ways[name] |= {"mean": float(asked.tables[name].mean()), "ci95": score_ends(asked.metric, ends)}
    for name, facts in _over(asked, found, names, reuse, base, level).items():
        ways[name] |= facts
    if "scratch" in bases:
        for name, facts in _over(asked, found, names, reuse, "scratch", level).items():
            ways[name] |= {f"{key}_scratch": facts[key] for key in ("gain",)}
            ways[name]["gain_scratch_ci95"] = facts["gain_ci95"]
    for name in reuse:
        ways[name]["verdict"] = "open"
    if seeds >= ENOUGH:
        _decide(asked, found, names, reuse, bases, base, level, ways)
    for name in [name for name in reuse if name in asked.settled]:
        told, (low, high) = asked.settled[name], ways[name]["gain_ci95"]
        agrees = low > 0 if told["verdict"] == "gains" else high < 0
        ways[name] |= {"verdict": told["verdict"]} if agrees else told
    keep, chance = twoway.possible_bests(found, BEST)
    for name in names:
        ways[name] |= {"may_be_best": bool(keep[at[name]]), "best_probability": float(chance[at[name]])}
    return _answer(asked, found, names, reuse, base, level, ways)


@dataclass(frozen=True, eq=False)
class Followed:
    """Hold what was found with seeds added until it was decided.

    Args:
        judged: of the last look, with what earlier ones said of ways that ran no further.
        seeds: of each way.
        level: of the last look.
        next: the ways to go on with; none where all is decided, or the last look was taken.
        upto: seeds at the next look.
    """

    judged: Judged
    seeds: Mapping[str, int]
    level: float
    next: Sequence[str]
    upto: int


def follow(asked: Field, spent: Mapping[int, float] = SPENT) -> Followed:
    """Judge at each look that there are seeds for; stop where every way of reuse has its verdict.

    A way that harms, or has its verdict and is beaten by another one, goes no further. A verdict stays.
    The levels of the looks sum to .075; because they share their seeds, the chance of any false verdict is
    less than that (``benchmarks/trust/rates.json``).

    Args:
        asked: tables ``(seeds, rows)`` of as many seeds as each way has; of ways that went no further, fewer.
        spent: one-sided level by number of seeds.
    """
    active, seeds = list(asked.tables), dict[str, int]()
    settled, ways = dict[str, Mapping[str, Any]](), dict[str, Mapping[str, Any]]()
    looks, judged, level = list(spent), None, next(iter(spent.values()))
    for i, look in enumerate(looks):
        there = min(len(asked.tables[name]) for name in active)
        if judged is not None and there <= looks[i - 1]:
            return Followed(_merged(judged, ways), seeds, level, active, look)
        level, k = spent[look], min(there, look)
        here = {name: asked.tables[name][:k] for name in active}
        judged = judge(replace(asked, tables=here, settled=settled), level)
        ways |= judged.ways
        seeds |= dict.fromkeys(active, k)
        told = {n: w for n, w in judged.ways.items() if w["verdict"] in ("gains", "harms")}
        settled = {n: _said(w) for n, w in told.items()} | settled
        reuse = [name for name in active if name not in asked.family]
        active = [
            name for name in active
            if name in asked.family
            or judged.ways[name]["verdict"] == "open"
            or (judged.ways[name]["verdict"] != "harms" and judged.ways[name]["may_be_best"])
        ]  # fmt: skip
        undecided = [name for name in active if judged.ways[name]["verdict"] == "open"]
        if not undecided or not reuse:
            return Followed(_merged(judged, ways), seeds, level, (), k)
        if k < look:
            return Followed(_merged(judged, ways), seeds, level, active, look)
    assert judged is not None
    return Followed(_merged(judged, ways), seeds, level, (), looks[-1])


def _said(way: Mapping[str, Any]) -> dict[str, Any]:
    return {key: way[key] for key in ("verdict", "gain", "gain_ci95")}


def _merged(judged: Judged, ways: Mapping[str, Mapping[str, Any]]) -> Judged:
    """Add the ways that ran no further: none of them may be the best."""
    gone = {"may_be_best": False, "best_probability": 0.0}
    return replace(judged, ways={n: w if n in judged.ways else {**w, **gone} for n, w in ways.items()})


def upwards(metric: Metric, table: Numbers) -> Numbers:
    r"""Turn a way's table so that higher is better; of a ratio of errors it is minus the error's logarithm.

    .. math:: D_{sr} = -\left(\log \bar E + E_{sr} / \bar E - 1\right)
    """
    table = np.asarray(table, dtype=np.float64)
    if not metric.ratio:
        return metric.sign * table
    error = 1 - table if metric.higher_is_better else table
    mean = max(float(error.mean()), 1e-12)
    return -(math.log(mean) + error / mean - 1)


def gain_of(metric: Metric, value: float) -> float:
    """Say a difference as the gain that is read: of a ratio of errors the share that is saved."""
    return -math.expm1(-max(value, -700.0)) if metric.ratio else float(value)


def score_ends(metric: Metric, ends: Sequence[float]) -> list[float]:
    """Turn the ends of a mean back into scores."""
    if metric.ratio:
        errors = [math.exp(min(-end, 700.0)) for end in ends]
        scores = [1 - e for e in errors] if metric.higher_is_better else errors
    else:
        scores = [metric.sign * float(end) for end in ends]
    low, high = metric.bounds
    return [min(high, max(low, end)) for end in sorted(scores)]


def _margin(asked: Field) -> float:
    return -math.log1p(-asked.least) if asked.metric.ratio else asked.least


def _over(
    asked: Field, found: TwoWay, names: Sequence[str], reuse: Sequence[str], base: str, level: float
) -> dict[str, dict[str, Any]]:
    """Give gains over a baseline: of ways of reuse with intervals that hold together, of others alone."""
    place = list(names).index(base)
    facts: dict[str, dict[str, Any]] = {base: {"gain": None, "gain_ci95": None}}
    for group in (list(reuse), [n for n in names if n not in reuse and n != base]):
        if not group:
            continue
        at = [list(names).index(name) for name in group]
        over = twoway.differences(found, at, place)
        if group[0] in reuse:
            drawn = twoway.drawn_errors(found, at, place)
            up = twoway.limits(twoway.as_normal(over.estimate / over.error, over.freedom), drawn, level)
            down = twoway.limits(twoway.as_normal(-over.estimate / over.error, over.freedom), -drawn, level)
        else:
            up = down = np.full(len(group), twoway.NORMAL)
        low, high = over.estimate - twoway.widths(over, up), over.estimate + twoway.widths(over, down)
        for i, name in enumerate(group):
            ends = sorted(gain_of(asked.metric, end) for end in (low[i], high[i]))
            facts[name] = {"gain": gain_of(asked.metric, over.estimate[i]), "gain_ci95": ends}
    return facts


def _decide(
    asked: Field,
    found: TwoWay,
    names: Sequence[str],
    reuse: Sequence[str],
    bases: Sequence[str],
    base: str,
    level: float,
    ways: dict[str, dict[str, Any]],
) -> None:
    """Write the verdicts of the ways of reuse."""
    at = [names.index(name) for name in reuse]
    if not at or not bases:
        return
    gain, harm = np.ones(len(at), bool), np.ones(len(at), bool)
    short = np.full((len(bases), len(at)), np.inf)  # by how much each baseline is cleared, in normal errors
    for other in bases:
        place = names.index(other)
        over, drawn = twoway.differences(found, at, place), twoway.drawn_errors(found, at, place)
        free = 0.0 if other == base or not asked.chosen else _margin(asked)
        z = twoway.as_normal((over.estimate + free) / over.error, over.freedom)
        limit = twoway.limits(z, drawn, level)
        gain &= z > limit
        short[bases.index(other)] = z - limit
        if other in asked.chosen or (not asked.chosen and other != asked.floor):  # the highest was seen
            z = twoway.as_normal(-over.estimate / over.error, over.freedom)
            harm &= z > twoway.limits(z, -drawn, level)
    for i, (name, gains, harms) in enumerate(zip(reuse, gain, harm, strict=True)):
        low, high = ways[name]["gain_ci95"]
        if low > 0 and not gains:  # above the baseline that was chosen, but not above all that reuse nothing
            ways[name]["unless"] = bases[int(short[:, i].argmin())]
        if gains and ways[name]["gain"] >= asked.least and low > 0:
            ways[name]["verdict"] = "gains"
        elif harms and high < 0:
            ways[name]["verdict"] = "harms"
        elif -asked.least < low and high < asked.least:
            ways[name]["verdict"] = "equal"


def _answer(
    asked: Field,
    found: TwoWay,
    names: Sequence[str],
    reuse: Sequence[str],
    base: str,
    level: float,
    ways: Mapping[str, Mapping[str, Any]],
) -> Judged:
    at = {name: i for i, name in enumerate(names)}
    means = {name: float(found.means[at[name]]) for name in names}
    means |= dict(zip(reuse, twoway.shrunken(found, [at[n] for n in reuse]).tolist(), strict=True))
    gaining = [name for name in reuse if ways[name]["verdict"] == "gains"]
    harmed = [name for name in reuse if ways[name]["verdict"] == "harms"]
    among = [name for name in gaining or names if ways[name]["may_be_best"]] or gaining or list(names)
    # Means that are shrunken are held against each other alone: they lie below what they are held against.
    rank = means if gaining else {name: float(found.means[at[name]]) for name in names}
    near = [n for n in among if rank[n] >= max(rank[m] for m in among) - _margin(asked)]
    top = min(near, key=lambda name: (*_cost(asked, name), -rank[name]))
    if top in asked.family and base in near:
        top = base
    if asked.instead.get(top) in at:
        top = asked.instead[top]
    ruled_out = all(ways[n]["gain_ci95"][1] < asked.least or n in harmed for n in reuse)
    outcome = "better" if gaining else "not better" if reuse and ruled_out else "not known yet"
    if outcome == "not better":
        top = base
    if blind := _trusted(asked, at):
        top = blind
        outcome = "better" if top in gaining else "not better" if ruled_out else "not known yet"
    if not _clears(asked, found, at, top):
        outcome = "nothing works"
    leader = max(reuse, key=lambda name: means[name]) if reuse else None
    seen: float | None = None
    needed: dict[str, int] = {}
    if leader is not None:
        seen, needed = _power(asked, found, at, leader, base, level)
    gain, ends = None, None
    if top != base and ways[top]["gain"] is not None:
        gain, ends = gain_of(asked.metric, means[top] - means[base]), list(ways[top]["gain_ci95"])
    highest = max((n for n in names if n in asked.family), key=lambda n: means[n], default=base)
    over = None if top == highest else gain_of(asked.metric, means[top] - means[highest])
    chosen = bool(asked.chosen)
    best = max(names, key=lambda name: found.means[at[name]])
    cost = gain_of(asked.metric, float(found.means[at[best]] - found.means[at[top]]))
    return Judged(
        base, ways, top, outcome, gain, ends, seen, needed, chosen, found.rows, highest, over, best, cost
    )


def _trusted(asked: Field, there: Iterable[str]) -> str:
    """Name the way to be trusted most, where no label of the target may choose; else ""."""
    return max((n for n in there if n in asked.worth), key=lambda n: asked.worth[n], default="")


def _cost(asked: Field, name: str) -> tuple[int, float]:
    """Give what a way costs: seconds by factors of two, that the clock does not decide, then parameters."""
    seconds, parameters = asked.costs.get(name, (0.0, 0.0))
    return max(0, math.ceil(math.log2(max(seconds, 1e-9)))), parameters


def _clears(asked: Field, found: TwoWay, at: Mapping[str, int], top: str) -> bool:
    """Tell whether a way is above the one that looks at no input."""
    if asked.floor is None or asked.floor not in at:
        return True
    if top == asked.floor:
        return False
    over = twoway.differences(found, [at[top]], at[asked.floor])
    return bool(over.estimate[0] > twoway.widths(over)[0])


def _power(
    asked: Field, found: TwoWay, at: Mapping[str, int], leader: str, base: str, level: float
) -> tuple[float, dict[str, int]]:
    """Say the smallest gain that would have been seen, and what would decide one of the size estimated."""
    way, place, k, n = at[leader], at[base], found.seeds, found.rows
    over = twoway.differences(found, [way], place)
    others = max(1, len([name for name in at if name not in asked.family]))
    limit = max(twoway.NORMAL, twoway.one_sided(level / others))

    def variance(part: Numbers) -> float:
        return max(0.0, float(part[way, way] + part[place, place] - 2 * part[way, place]))

    reach = float(twoway.widths(over, limit)[0] + twoway.widths(over, POWER)[0])
    seen = gain_of(asked.metric, reach)
    asked_for = max(float(over.estimate[0]), _margin(asked))
    left = (asked_for / (limit + POWER)) ** 2 - variance(found.by_row)
    seed = k * (variance(found.by_seed) + max(0.0, variance(found.rest)))
    if left > 0:
        return seen, {"seeds": max(1, math.ceil(seed / left) - k)}
    return seen, {"test_rows": math.ceil(n * variance(found.by_row) * ((limit + POWER) / asked_for) ** 2)}


def _unsure(asked: Field) -> Judged:
    """Name what scored highest, where there are too few seeds or rows for any interval."""
    means = {name: float(upwards(asked.metric, table).mean()) for name, table in asked.tables.items()}
    bases = [name for name in means if name in asked.family]
    base = max(asked.chosen or bases or means, key=lambda name: means[name])
    ways: dict[str, dict[str, Any]] = {}
    for name in means:
        ways[name] = {
            "verdict": None if name in asked.family else "open",
            "mean": float(asked.tables[name].mean()),
            "ci95": None,
            "gain": None if name == base else gain_of(asked.metric, means[name] - means[base]),
            "gain_ci95": None,
            "may_be_best": True,
            "best_probability": None,
        }
        if "scratch" in bases:
            own = None if name == "scratch" else gain_of(asked.metric, means[name] - means["scratch"])
            ways[name] |= {"gain_scratch": own, "gain_scratch_ci95": None}
    best = max(means, key=lambda name: means[name])
    top = _trusted(asked, means) or best
    gain = ways[top]["gain"]
    seeds, rows = next(iter(asked.tables.values())).shape
    needed, chosen = {"seeds": max(1, ENOUGH - seeds)}, bool(asked.chosen)
    highest = max(bases, key=lambda name: means[name], default=base)
    over = None if top == highest else gain_of(asked.metric, means[top] - means[highest])
    cost = gain_of(asked.metric, means[best] - means[top])
    return Judged(
        base, ways, top, "not known yet", gain, None, None, needed, chosen, rows, highest, over, best, cost
    )
