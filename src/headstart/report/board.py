"""Read a comparison's ``result.json`` into rows.

Numbers that are missing, NaN or infinite all become ``None`` here, and gains of earlier releases, where
a lower score was better, are turned so that a gain above 0 is always better: nothing after this file has
to ask again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..errors import wrong
from .sizes import Sizes, clean, plural

Interval: TypeAlias = tuple[float, float]
Verdict: TypeAlias = Literal["gains", "equal", "open", "harms", "unknown", "baseline", "none"]
LABELS = "labelled row"  # what amounts are numbers of, where nothing else is said
UNLABELLED = "source-only"  # the baseline of earlier releases where no row of the target has a label


def number(value: object) -> float | None:
    """Return a finite float, or None for whatever is missing, NaN, infinite or not a number.

    Example:
        >>> number(2), number(float("nan")), number(None)
        (2.0, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def interval(value: object) -> Interval | None:
    """Return ``(low, high)``, or None where either end is missing.

    Example:
        >>> interval([0.1, 0.3]), interval([0.1, None]), interval(None)
        ((0.1, 0.3), None, None)
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (min(low, high), max(low, high))


@dataclass(frozen=True)
class Row:
    """Hold what one strategy reached with one number of labels.

    Args:
        ci: 95 % interval of ``mean``, in units of the metric.
        gain: over the baseline; above 0 is better.
        over_scratch: the same over plain training of new weights.
        verdict: what was decided; None where nothing was, and of earlier releases.
        reuse: whether it reuses anything.
        chance: that it is the best.
        judged_on: seeds that it was judged by.
        measures: mean of every measure.
        one_answer: whether it gave one class for every test row at every seed; None of earlier releases.
        seconds: mean wall time of one trial.
        parameters: how many numbers were trained.
        seeds: score of each seed, in order.
    """

    strategy: str
    shots: int | None
    mean: float | None
    ci: Interval | None
    gain: float | None
    gain_ci: Interval | None
    over_scratch: float | None
    over_scratch_ci: Interval | None
    harmed: bool
    verdict: str | None
    reuse: bool
    may_be_best: bool
    chance: float | None
    judged_on: int
    measures: Mapping[str, float | None]
    one_answer: bool | None
    seconds: float | None
    parameters: float | None
    seeds: tuple[float | None, ...]


def _shots(value: Mapping[str, Any]) -> int | None:
    shots = number(value.get("shots"))
    return None if shots is None else int(shots)


def _row(value: Mapping[str, Any], family: Sequence[str], higher: bool) -> Row:
    name = clean(value.get("strategy", "?"))
    gain, ends = number(value.get("gain")), interval(value.get("gain_ci95"))
    if "verdict" not in value and not higher:
        gain = None if gain is None else -gain
        ends = None if ends is None else (-ends[1], -ends[0])
    judged = "verdict" in value and value["verdict"] is None and number(value.get("mean")) is not None
    seeds = tuple(number(seed) for seed in value.get("seeds") or ())
    return Row(
        strategy=name,
        shots=_shots(value),
        mean=number(value.get("mean")),
        ci=interval(value.get("ci95")),
        gain=gain,
        gain_ci=ends,
        over_scratch=number(value.get("gain_scratch")),
        over_scratch_ci=interval(value.get("gain_scratch_ci95")),
        harmed=bool(value.get("harmed")),
        verdict=value.get("verdict"),
        reuse=name not in family if family else not judged,
        may_be_best=bool(value.get("may_be_best")),
        chance=number(value.get("best_probability")),
        judged_on=int(number(value.get("judged_on")) or len(seeds)),
        measures={clean(key): number(x) for key, x in (value.get("measures") or {}).items()},
        one_answer=None if value.get("one_answer") is None else bool(value["one_answer"]),
        seconds=number(value.get("seconds")),
        parameters=number(value.get("trained_parameters")),
        seeds=seeds,
    )


@dataclass(frozen=True)
class Board:
    """Hold one target of a comparison: its rows, and how to say a number of its metric.

    Args:
        say: says scores and gains.
        baselines: whose score gains are measured against, by number of labels; one for all under ``None``
            of earlier releases.
        per_class: whether numbers of labels are for each class, or in all.
        labelled: whether the target has any labels.
        at_random: whether rows were drawn whatever their class, so that numbers for each are on average.
        noun: what amounts are numbers of.
        unit: what the scores are over, beside the seeds.
        without: names of runs that leave out some source, to tell the sources apart.
        named: whether the user named the baseline, so that it may be a way of reuse as well.
    """

    task: str
    say: Sizes
    rows: tuple[Row, ...]
    recommended: str | None
    reasons: tuple[str, ...]
    baselines: Mapping[int | None, str]
    per_class: bool
    labelled: bool
    at_random: bool = False
    noun: str = LABELS
    unit: str = "test row"
    without: frozenset[str] = frozenset()
    named: bool = False

    @property
    def shots(self) -> list[int | None]:
        """Numbers of labels that were tried, fewest first; None, all labels, is last."""
        found = {row.shots for row in self.rows}
        return sorted(found, key=lambda n: (n is None, n or 0))

    @property
    def strategies(self) -> list[str]:
        """Names of the strategies in the order of the rows, once each."""
        return list(dict.fromkeys(row.strategy for row in self.rows))

    @property
    def seeds(self) -> int:
        """Largest number of seeds that any row has."""
        return max((len(row.seeds) for row in self.rows), default=0)

    def baseline(self, shots: int | None) -> str:
        """Name what gains are measured against with that many labels."""
        return self.baselines.get(shots, "")

    @property
    def plainly(self) -> str:
        """Say what the baseline was chosen among: ways that reuse nothing, or sources used as they are."""
        return "without reuse" if self.labelled else "without adapting"

    @property
    def baseline_names(self) -> str:
        """Name all that gains are measured against."""
        return " or ".join(dict.fromkeys(filter(None, map(self.baseline, self.shots))))

    def amount(self, shots: int | None) -> str:
        """Say a number of labels; all labels of a target that has none are none."""
        if shots is None and not self.labelled:
            return "no labelled rows"
        return labels(shots, per_class=self.per_class, at_random=self.at_random, noun=self.noun)

    def short(self, shots: int | str | None) -> str:
        """Say a number of labels where there is little room."""
        if shots is None:
            return "all labels"
        if self.noun != LABELS:
            return plural(int(shots), self.noun)
        return f"{'about ' * self.at_random}{shots} {'per class' if self.per_class else 'rows'}"

    def at(self, shots: int | None) -> list[Row]:
        """Return the rows with that many labels, best first; rows without a mean come last."""
        rows = [row for row in self.rows if row.shots == shots]
        sign = -1.0 if self.say.higher else 1.0
        return sorted(rows, key=lambda row: (row.mean is None, sign * (row.mean or 0.0), row.strategy))

    def verdict(self, row: Row) -> Verdict:
        """Say what was decided of a row; of earlier releases, on which side of zero its interval lies."""
        if row.strategy == self.baseline(row.shots):
            return "baseline"
        if not row.reuse:
            return "none"
        if row.harmed:
            return "harms"
        if row.gain_ci is None:
            return "unknown"
        if row.verdict in ("gains", "equal", "open"):
            return row.verdict  # type: ignore[return-value]  # one of the three
        return "gains" if row.gain_ci[0] > 0 else "open"

    def marked_best(self, row: Row) -> bool:
        """Tell whether to mark a row as one that may be the best: not where all are."""
        others = [each.may_be_best for each in self.rows if each.shots == row.shots and each.mean is not None]
        return row.may_be_best and not all(others)


def _baselines(
    result: Mapping[str, Any], details: Mapping[str, Any], name: str, rows: Sequence[Mapping[str, Any]]
) -> dict[int | None, str]:
    """Find what gains are measured against; of earlier releases, guess the one that never has a gain."""
    if "answers" in result:
        told = [each for each in result["answers"] if each["target"] == name]
        return {each["shots"]: clean(each["baseline"]) for each in told if each.get("baseline")}
    guess = details.get("baseline")
    if not guess:
        gaining = {row.get("strategy") for row in rows if number(row.get("gain")) is not None}
        without = [row.get("strategy", "?") for row in rows if row.get("strategy") not in gaining]
        guess = "scratch" if "scratch" in without else without[0] if without and gaining else ""
    return {_shots(row): clean(guess) for row in rows}


def without(way: str, left: Sequence[str]) -> str:
    """Name the run of a way that never sees some of the sources.

    Example:
        >>> without("probe", ["old digits"])
        'probe-without-old_digits'
    """
    return f"{way}-without-{'-'.join(re.sub(r'[^A-Za-z0-9+@:_.-]', '_', name) for name in left)}"


def _without(result: Mapping[str, Any]) -> frozenset[str]:
    """Name the runs that leave out each source, and those that leave out all that harm."""
    told = [
        (clean(each.get("strategy") or "?"), str(each.get("source"))) for each in result.get("sources") or ()
    ]
    harming = harmful(result)
    return frozenset(
        without(way, left) for way, name in told for left in ([name], harming.get(way, ())) if left
    )


def harmful(result: Mapping[str, Any]) -> dict[str, list[str]]:
    """Name the sources that harm each way.

    Example:
        >>> harmful({"sources": [{"strategy": "probe", "source": "old", "verdict": "harms"}]})
        {'probe': ['old']}
    """
    found: dict[str, list[str]] = {}
    for each in result.get("sources") or ():
        if each.get("verdict") == "harms":
            found.setdefault(clean(each.get("strategy") or "?"), []).append(str(each["source"]))
    return found


def targets(result: Mapping[str, Any]) -> list[str]:
    """List the targets of a comparison, in the order of the rows; the first release had one, unnamed.

    Example:
        >>> targets({"task": "digits", "rows": [{"strategy": "probe"}]})
        ['digits']
    """
    named = [str(row["target"]) for row in result.get("rows") or () if row.get("target")]
    return list(dict.fromkeys(named)) or [str(result.get("task") or "task")]


def about(details: Mapping[str, Any], target: str) -> Mapping[str, Any]:
    """Find what the details say of a target; the first release had one."""
    several = details.get("targets") or [details.get("target") or {}]
    return next((each for each in several if each.get("name") == target), several[0])


def read(
    result: Mapping[str, Any], details: Mapping[str, Any] | None = None, target: str | None = None
) -> Board:
    """Turn the plain values of ``result.json`` into a `Board` of one target.

    Args:
        target: which of several; the first by default.
        details: the plain values of ``details.json``. Without them, what says how numbers are read is
            guessed, and numbers of labels are taken to be for each class.
    Raises:
        ValueError: if the metric or the rows are missing.

    Example:
        >>> board = read({"metric": "accuracy", "rows": [{"strategy": "probe", "mean": 0.5}]})
        >>> board.shots, board.say.score(board.rows[0].mean)
        ([None], '50.0 %')
    """
    missing = [key for key in ("metric", "rows") if key not in result]
    if missing:
        raise wrong(
            "`result`",
            expected='a comparison with "metric" and "rows"',
            found=f"no {' and no '.join(missing)}",
            hint="pass what `headstart compare` wrote to result.json",
        )
    details, name = details or {}, target or targets(result)[0]
    rows = [row for row in result["rows"] if row.get("target", name) == name]
    left = _without(result)
    rows = [row for row in rows if clean(row.get("strategy")) not in left or row.get("mean") is not None]
    metric = (details.get("metrics") or {}).get(name) or {}
    say = Sizes.of(result, metric, [x for row in rows if (x := number(row.get("mean"))) is not None])
    baselines = _baselines(result, details, name, rows)
    family = [clean(way) for way in details.get("family") or ()]
    per_class = bool(about(details, name).get("per_class", True))
    noun = clean(about(details, name).get("amount") or LABELS)
    recommended = (result.get("recommended_by_target") or {}).get(name, result.get("recommended"))
    return Board(
        task=clean(name),
        say=say,
        rows=tuple(_row(row, family, say.higher) for row in rows),
        recommended=None if recommended is None else clean(recommended),
        reasons=tuple(clean(reason) for reason in result.get("reasons") or ()),
        baselines=baselines,
        per_class=per_class,
        labelled=noun != LABELS or (details.get("floor") != "" and UNLABELLED not in baselines.values()),
        at_random=per_class and about(details, name).get("draw") == "random",
        noun=noun,
        unit=clean(about(details, name).get("unit") or "test row"),
        without=left,
        named=len(family) == 1 and noun == LABELS,
    )


def labels(shots: int | None, *, per_class: bool = True, at_random: bool = False, noun: str = LABELS) -> str:
    """Say a number of labelled rows, or of what else amounts are.

    Example:
        >>> labels(1), labels(5, per_class=False), labels(None)
        ('1 labelled row per class', '5 labelled rows', 'all labelled rows')
        >>> labels(5, at_random=True)
        '5 labelled rows per class on average, drawn at random'
    """
    if shots is None:
        return f"all {noun}s"
    each = " per class" * per_class + " on average, drawn at random" * at_random
    return plural(shots, noun) + each
