"""What was found, in words: from the facts of a result, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .board import about, targets

Facts = Mapping[str, Any]
RULED_OUT = 5  # points of harm: a bound below it is worth saying as one


def choices(result: Facts, details: Facts) -> list[dict[str, Any]]:
    """List the answers for each target and number of labels, each with its ``reason`` in words.

    Args:
        result: the plain values of ``result.json``.
        details: the plain values of ``details.json``; those of earlier releases have the words already.
    """
    if "answers" in result:
        return [dict(each) | {"reason": reason(each, result, details)} for each in result["answers"]]
    old = details.get("recommended_by_shots") or {}
    return [
        {"target": targets(result)[0], "shots": None if shots in ("None", "all") else int(shots)} | dict(c)
        for shots, c in old.items()
    ]


def reasons(result: Facts, details: Facts) -> list[str]:
    """Say what was found, for each target and number of labels, and what is missing.

    Example:
        >>> found = {"target": "new", "shots": 1, "strategy": None, "outcome": "no score"}
        >>> reasons({"metric": "accuracy", "rows": [], "answers": [found]}, {})
        ['With 1 labelled row per class: no trial has a score.']
    """
    several = len(targets(result)) > 1
    said = [
        f"{_place(each, several)}{amount(each, details)}: {each['reason']}"
        for each in choices(result, details)
    ]
    if missing := details.get("missing"):
        why = "" if (details.get("budget") or {}).get("trials") else ", which the choice of settings took"
        said.append(
            f"{missing} trials did not run within the time budget{why}; the same command continues with them."
        )
    if failed := (details.get("budget") or {}).get("failed"):
        names = sorted({trial["strategy"] for trial in failed})
        said.append(
            f"{len(failed)} trials failed with a loss that was not finite, and count as the floor: "
            f"{', '.join(names)}."
        )
    return said


def _place(each: Facts, several: bool) -> str:
    return f"{each['target']}: " if several else ""


def amount(each: Facts, details: Facts) -> str:
    """Say how many labels there were, as a sentence begins."""
    count, told = each["shots"], about(details, each["target"])
    if count is None and told.get("labelled") == 0:
        return "Without labels of the target"
    if count is None:
        return "With all labelled rows"
    return f"With {count} labelled row{'s' * (count != 1)}{' per class' * told.get('per_class', True)}"


def reason(each: Facts, result: Facts, details: Facts) -> str:
    """Say what was found, how sure it is, and what to do next."""
    metric = (details.get("metrics") or {}).get(each["target"], {})
    say = Sizes.of(metric, str(result["metric"]))
    if each["outcome"] == "no score":
        return "no trial has a score."
    sentences = [_found(each, say), _confirmed(each, say), _harm(each, say), _next(each, say)]
    return " ".join(filter(None, sentences))


def _found(each: Facts, say: Sizes) -> str:
    best, base = each["strategy"], each["baseline"]
    among = "the best without reuse" if each.get("chosen_on", True) else "the highest without reuse"
    if each["outcome"] == "nothing works":
        return f"nothing works yet: {best} is not clearly above a constant answer, which looks at no input."
    if each["outcome"] == "not better":
        return f"no way of reuse gains {say.gain(say.least)} over {base}, {among}; keep {base}."
    if each["outcome"] == "better":
        low = each["gain_ci95"][0]
        others = [name for name in each["gaining"] if name != best]
        also = (
            f" {len(others)} other{'s' * (len(others) > 1)} gain{'s' * (len(others) == 1)} too."
            if others
            else ""
        )
        return (
            f"{best} gains about {say.gain(each['gain'])} (at least {say.gain(low)}) over {base}, {among}."
            f"{_highest(each, say)}{also}"
        )
    if each["gain"] is None:
        return f"not known yet: {base}, {among}, is in front."
    if each["gain_ci95"] is None:
        return f"not known yet: {best} scored highest, {say.signed(each['gain'])} over {base}."
    low, high = each["gain_ci95"]
    return (
        f"not known yet: {best} is in front, between {say.signed(low)} and {say.signed(high)} "
        f"over {base}, {among}"
        + (f"; {each['unless']} reuses nothing either and may be as good." if each.get("unless") else ".")
    )


def _highest(each: Facts, say: Sizes) -> str:
    """Name another learner without reuse that scored higher on the test rows than the one that was chosen."""
    highest, over = each.get("highest"), each.get("over_highest")
    if not highest or highest == each["baseline"] or over is None:
        return ""
    return (
        f" Over {highest}, which reuses nothing either and scored highest of those, it is {say.signed(over)}."
    )


def _confirmed(each: Facts, say: Sizes) -> str:
    told = each.get("confirmed")
    if not told:
        return ""
    low, high = told["gain_ci95"]
    return (
        f"On {told['test_rows']} test rows and {len(told['seeds'])} seeds that chose nothing it gains "
        f"{say.signed(told['gain'])} (between {say.signed(low)} and {say.signed(high)})."
    )


def _harm(each: Facts, say: Sizes) -> str:
    said = []
    if each.get("harmed"):
        said.append(f"Did harm: {', '.join(each['harmed'])}.")
    if (worst := each.get("worst")) is not None and worst < 0:
        if -worst <= RULED_OUT * say.least:
            said.append(f"Harm beyond {say.gain(-worst)} is ruled out{' for the others' * bool(said)}.")
        else:
            said.append(f"Harm up to {say.gain(-worst)} could hide{' among the others' * bool(said)}.")
    return " ".join(said)


def _next(each: Facts, say: Sizes) -> str:
    if each["outcome"] not in ("not known yet", "nothing works"):
        return ""
    needed, seen = each.get("needed") or {}, each.get("seen")
    could = f"This run could have seen a gain of {say.gain(seen)}; " if seen is not None else ""
    if "seeds" in needed:
        more = f"about {needed['seeds']} more seed{'s' * (needed['seeds'] > 1)} would decide."
        return could + more if could else more[:1].upper() + more[1:]
    if "test_rows" in needed:
        return f"{could}no number of seeds decides it: that takes about {needed['test_rows']} test rows."
    return could[:-2] + "." if could else ""


@dataclass(frozen=True)
class Sizes:
    """Say sizes of a metric: points of a share, per cent of an error, else plain numbers."""

    percent: bool
    unit: str
    least: float = 0.01

    @classmethod
    def of(cls, metric: Facts, name: str) -> Sizes:
        """Find how a metric's gains are said, from its facts."""
        if metric.get("ratio"):
            return cls(True, " % of the error")
        share = metric.get("bounds") == [0.0, 1.0] if metric.get("bounds") else "accuracy" in name
        return cls(share, " points" if share else "")

    def gain(self, value: float) -> str:
        """Say a gain without a sign, with its unit."""
        return f"{self._number(value)}{self._unit(value)}"

    def signed(self, value: float) -> str:
        """Say a gain with its sign and unit."""
        return f"{'+' if value >= 0 else '-'}{self._number(abs(value))}{self._unit(value)}"

    def _unit(self, value: float) -> str:
        return " point" if self.unit == " points" and self._number(abs(value)) == "1.0" else self.unit

    def _number(self, value: float) -> str:
        return f"{100 * value:.1f}" if self.percent else f"{value:.3f}"


def _rows(result: Facts, each: Facts) -> Sequence[Facts]:
    return [
        row for row in result["rows"]
        if row["shots"] == each["shots"] and row.get("target", each["target"]) == each["target"]
    ]  # fmt: skip
