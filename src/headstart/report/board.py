"""Read a comparison's ``result.json`` into rows, and say its numbers the way a reader expects them.

Numbers that are missing, NaN or infinite all become ``None`` here, so that nothing after this file
has to ask again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..errors import wrong

Interval: TypeAlias = tuple[float, float]
Verdict: TypeAlias = Literal["gains", "open", "harms", "unknown", "baseline"]
MINUS = "\N{MINUS SIGN}"
UNLABELLED = "source-only"  # the baseline where no row of the target has a label


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


def clean(text: object) -> str:
    """Return text on one line without control characters, which neither a terminal nor SVG may see.

    Example:
        >>> clean("a\\nb\\x1b[31m")
        'a b [31m'
    """
    return "".join(c if c.isprintable() else " " for c in str(text)).strip()


def sentence(text: str) -> str:
    """Begin with a capital and end with a full stop.

    Example:
        >>> sentence("new linear head on the frozen backbone")
        'New linear head on the frozen backbone.'
    """
    return text[:1].upper() + text[1:] + "." * (bool(text) and text[-1] not in ".!?")


@dataclass(frozen=True)
class Row:
    """Hold what one strategy reached with one number of labels.

    Args:
        ci: 95 % interval of ``mean``, in units of the metric.
        gain: paired difference to the baseline, in units of the metric.
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
    harmed: bool
    seconds: float | None
    parameters: float | None
    seeds: tuple[float | None, ...]


def _row(value: Mapping[str, Any]) -> Row:
    shots = number(value.get("shots"))
    return Row(
        strategy=clean(value.get("strategy", "?")),
        shots=None if shots is None else int(shots),
        mean=number(value.get("mean")),
        ci=interval(value.get("ci95")),
        gain=number(value.get("gain")),
        gain_ci=interval(value.get("gain_ci95")),
        harmed=bool(value.get("harmed")),
        seconds=number(value.get("seconds")),
        parameters=number(value.get("trained_parameters")),
        seeds=tuple(number(seed) for seed in value.get("seeds") or ()),
    )


@dataclass(frozen=True)
class Board:
    """Hold a whole comparison: its rows, its metric and how to say a number of that metric.

    Accuracies are said in percent and points, every other metric in its own units.
    """

    task: str
    metric: str
    higher: bool
    rows: tuple[Row, ...]
    recommended: str | None
    reasons: tuple[str, ...]
    baseline: str
    per_class: bool  # whether numbers of labels are for each class, or in all

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

    @property
    def percent(self) -> bool:
        """Whether the metric is said in percent."""
        return "accuracy" in self.metric.lower()

    @property
    def unit(self) -> str:
        """Name of the metric with its unit."""
        return f"{self.metric}, %" if self.percent else self.metric

    def amount(self, shots: int | None) -> str:
        """Say a number of labels; all labels of a target that has none are none."""
        if shots is None and self.baseline == UNLABELLED:
            return "no labelled examples"
        return labels(shots, per_class=self.per_class)

    def short(self, shots: int | str | None) -> str:
        """Say a number of labels where there is little room."""
        return "all labels" if shots is None else f"{shots} {'per class' if self.per_class else 'rows'}"

    def at(self, shots: int | None) -> list[Row]:
        """Return the rows with that many labels, best first; rows without a mean come last."""
        rows = [row for row in self.rows if row.shots == shots]
        sign = -1.0 if self.higher else 1.0
        return sorted(rows, key=lambda row: (row.mean is None, sign * (row.mean or 0.0), row.strategy))

    def verdict(self, row: Row) -> Verdict:
        """Say on which side of zero the whole interval of the gain lies."""
        if row.strategy == self.baseline:
            return "baseline"
        if row.harmed:
            return "harms"
        if row.gain_ci is None:
            return "unknown"
        low, high = row.gain_ci
        return "gains" if (low > 0 if self.higher else high < 0) else "open"

    def _digits(self) -> int:
        if self.percent:
            return 1
        largest = max((abs(row.mean) for row in self.rows if row.mean is not None), default=0.0)
        return next((digits for digits, edge in ((3, 10), (2, 100), (1, 1000)) if largest < edge), 0)

    def value(self, x: float | None, *, signed: bool = False) -> str:
        """Say a number of the metric, without its unit; a dash where there is none."""
        if x is None:
            return "–"
        text = f"{x * 100 if self.percent else x:{'+' if signed else ''}.{self._digits()}f}"
        return text.replace("-", MINUS)

    def score(self, x: float | None) -> str:
        """Say a score with its unit, as in a sentence."""
        return f"{self.value(x)} %" if self.percent and x is not None else self.value(x)


def _baseline(rows: Sequence[Row]) -> str:
    """Guess what the gains were measured against: the one that never has a gain."""
    gaining = {row.strategy for row in rows if row.gain is not None}
    without = [row.strategy for row in rows if row.strategy not in gaining]
    return "scratch" if "scratch" in without or not without else without[0]


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
        details: the plain values of ``details.json``. Without them the baseline is guessed from the
            rows, and numbers of labels are taken to be for each class.
    Raises:
        ValueError: if the metric or the rows are missing.

    Example:
        >>> board = read({"metric": "accuracy", "rows": [{"strategy": "probe", "mean": 0.5}]})
        >>> board.shots, board.score(board.rows[0].mean)
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
    recommended, details = result.get("recommended"), details or {}
    name = target or targets(result)[0]
    rows = tuple(_row(row) for row in result["rows"] if row.get("target", name) == name)
    metric = (details.get("metrics") or {}).get(name) or {}
    return Board(
        task=clean(name),
        metric=clean(metric.get("name") or result["metric"]),
        higher=bool(metric.get("higher_is_better", result.get("higher_is_better", True))),
        rows=rows,
        recommended=None if recommended is None else clean(recommended),
        reasons=tuple(clean(reason) for reason in result.get("reasons") or ()),
        baseline=clean(details["baseline"]) if details.get("baseline") else _baseline(rows),
        per_class=bool(about(details, name).get("per_class", True)),
    )


def labels(shots: int | None, *, per_class: bool = True) -> str:
    """Say a number of labelled examples.

    Example:
        >>> labels(1), labels(5, per_class=False), labels(None)
        ('1 labelled example per class', '5 labelled rows', 'all labelled examples')
    """
    noun = "labelled example" if per_class else "labelled row"
    if shots is None:
        return f"all {noun}s"
    return f"{shots} {noun}{'s' * (shots != 1)}{' per class' * per_class}"


def seconds(x: float | None) -> str:
    """Say a duration.

    Example:
        >>> seconds(0.034), seconds(12.3), seconds(372), seconds(9000)
        ('0.03 s', '12 s', '6.2 min', '2.5 h')
    """
    if x is None:
        return "–"
    if x >= 3600:
        return f"{x / 3600:.1f} h"
    if x >= 120:
        return f"{x / 60:.1f} min"
    return f"{x:.0f} s" if x >= 10 else f"{x:.1f} s" if x >= 1 else f"{x:.2f} s"


def count(x: float | None) -> str:
    """Say a large whole number shortly.

    Example:
        >>> count(645), count(112_000), count(23_500_000)
        ('645', '112 k', '23.5 M')
    """
    if x is None:
        return "–"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if x >= size:
            return f"{x / size:.3g} {letter}"
    return f"{x:.0f}"
