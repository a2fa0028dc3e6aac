"""Say scores, gains, chances, durations and counts the way a reader expects them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MINUS = "\N{MINUS SIGN}"
MOST = 9.99  # times the error: a loss beyond it is said as more than that
NAMES = {
    "r2": "R²", "rmse": "RMSE", "mae": "MAE", "auroc": "AUROC", "ece": "ECE", "map": "mAP", "iou": "IoU",
    "brier": "Brier score", "macro_f1": "macro F1", "micro_f1": "micro F1", "f1": "F1",
}  # fmt: skip


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
class Sizes:
    """Say numbers of one metric: shares in per cent and points, gains of ratios in per cent of the error.

    Args:
        name: of the metric, for people.
        higher: whether higher scores are better; a gain above 0 is better either way.
        percent: whether scores are shares.
        ratio: whether gains are shares of the error that are saved.
        digits: after the point, of scores that are no shares.
        least: the smallest gain that matters.
    """

    name: str
    higher: bool = True
    percent: bool = False
    ratio: bool = False
    digits: int = 3
    least: float = 0.01

    @classmethod
    def of(cls, result: Mapping[str, Any], metric: Mapping[str, Any], scores: Sequence[float]) -> Sizes:
        """Find how numbers are said, from a result, the facts of its metric and the scores themselves."""
        name = clean(metric.get("name") or result["metric"])
        bounds = metric.get("bounds")
        share = list(bounds) == [0, 1] if bounds else "accuracy" in name.lower()
        largest = max(map(abs, scores), default=0.0)
        digits = next((digits for digits, edge in ((3, 10), (2, 100), (1, 1000)) if largest < edge), 0)
        return cls(
            NAMES.get(name, name.replace("_", " ")),
            bool(metric.get("higher_is_better", result.get("higher_is_better", True))),
            share,
            bool(metric.get("ratio")),
            1 if share else digits,
            float(result.get("least") or 0.01),
        )

    @property
    def unit(self) -> str:
        """Name of the metric with its unit."""
        return f"{self.name}, %" if self.percent else self.name

    @property
    def gain_unit(self) -> str:
        """Unit of gains, or ""."""
        return "% of the error" if self.ratio else "points" if self.percent else ""

    def value(self, x: float | None) -> str:
        """Say a score without its unit; a dash where there is none."""
        return "–" if x is None else f"{100 * x if self.percent else x:.{self.digits}f}".replace("-", MINUS)

    def score(self, x: float | None) -> str:
        """Say a score with its unit, as in a sentence."""
        return f"{self.value(x)} %" if self.percent and x is not None else self.value(x)

    def change(self, x: float | None) -> str:
        """Say a gain with its sign and without its unit, as in a table.

        Example:
            >>> Sizes("accuracy", percent=True).change(0.05), Sizes("R²", ratio=True).change(-20.0)
            ('+5.0', '<−999')
        """
        if x is None:
            return "–"
        if self.ratio and x < -MOST:  # where there is little room
            return f"<{MINUS}{100 * MOST:.0f}"
        text = f"{100 * x if self.percent or self.ratio else x:+.{self._gain_digits}f}"
        return (text[1:] if not float(text) else text).replace("-", MINUS)

    def gain(self, x: float, *, signed: bool = False, unit: bool = True) -> str:
        """Say a gain with its unit, as in a sentence; of a ratio of errors, what the error becomes.

        Example:
            >>> Sizes("accuracy", percent=True).gain(0.01), Sizes("accuracy", percent=True).gain(0.05)
            ('1.0 point', '5.0 points')
            >>> [Sizes("R²", ratio=True).gain(x) for x in (0.1, -0.1, -1.1, -20)]
            ['10.0 % smaller', '10.0 % larger', '2.1 times as large', 'over 11 times as large']
        """
        if self.ratio:
            return self._error(x, unit)
        text = self.change(x)
        text = text if signed else text.lstrip(f"+{MINUS}")
        ends = self.gain_unit.removesuffix("s") if text.lstrip(f"+{MINUS}") == "1.0" else self.gain_unit
        return f"{text} {ends}" if ends and unit else text

    def span(self, ends: tuple[float, float]) -> str:
        """Say both ends of a gain's interval, as in a sentence.

        Example:
            >>> Sizes("accuracy", percent=True).span((-0.01, 0.05)), Sizes("R²", ratio=True).span((0.1, 0.2))
            ('−1.0 to +5.0', '10.0 to 20.0 % smaller')
        """
        if not self.ratio:
            return f"{self.change(ends[0])} to {self.change(ends[1])}"
        low = f"{100 * ends[0]:.1f}" if ends[0] >= 0 else self._error(ends[0])
        return f"{low} to {self._error(ends[1])}"

    def says_nothing(self, ends: tuple[float, float]) -> bool:
        """Tell whether an interval is too wide for words: the error may be many times as large."""
        return self.ratio and ends[0] < -MOST

    def _error(self, x: float, unit: bool = True) -> str:
        if x <= -1:
            return f"{1 - x:.1f} times as large" if x >= -MOST else f"over {1 + MOST:.0f} times as large"
        return f"{abs(100 * x):.1f} %" + (" smaller" if x >= 0 else " larger") * unit

    def scale(self, *, gain: bool) -> float:
        """Return what numbers are multiplied by before they are said."""
        return 100.0 if self.percent or (gain and self.ratio) else 1.0

    @property
    def _gain_digits(self) -> int:
        return 1 if self.ratio or self.percent else self.digits


def chance(p: float) -> str:
    """Say a chance roughly: its own error is larger than any digit.

    Example:
        >>> chance(0.286), chance(0.5), chance(0.004)
        ('about 1 in 4', 'about half', 'under 1 in 30')
    """
    said = (
        (0.95, "almost surely"), (0.85, "about 9 in 10"), (0.7, "about 3 in 4"), (0.58, "about 2 in 3"),
        (0.42, "about half"), (0.29, "about 1 in 3"), (0.225, "about 1 in 4"), (0.14, "about 1 in 5"),
        (0.07, "about 1 in 10"), (0.03, "about 1 in 20"),
    )  # fmt: skip
    return next((words for edge, words in said if p >= edge), "under 1 in 30")


def rounded(n: float) -> str:
    """Say a number that was estimated, with two digits that mean something.

    Example:
        >>> rounded(7), rounded(34384)
        ('7', '34,000')
    """
    if n < 100:
        return f"{n:.0f}"
    unit = 10 ** (math.floor(math.log10(n)) - 1)
    return f"{round(n / unit) * unit:,}"


def plural(n: int, noun: str) -> str:
    """Count a noun.

    Example:
        >>> plural(1, "seed"), plural(2, "test row")
        ('1 seed', '2 test rows')
    """
    return f"{n} {noun}{'s' * (n != 1)}"


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
