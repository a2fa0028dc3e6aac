"""How a choice was made, in words: from the facts of a result, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .board import UNLABELLED, about, targets

Choice = Mapping[str, Any]


def choices(result: Mapping[str, Any], details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List what was chosen for each target and number of labels, each with its ``reason`` in words.

    Args:
        result: the plain values of ``result.json``.
        details: the plain values of ``details.json``; those of the first release have the words already.
    """
    if "choices" in details:
        return [dict(c) | {"reason": reason(c, result, details)} for c in details["choices"]]
    old = details.get("recommended_by_shots") or {}
    return [
        {"target": targets(result)[0], "shots": None if shots in ("None", "all") else int(shots)} | dict(c)
        for shots, c in old.items()
    ]


def reasons(result: Mapping[str, Any], details: Mapping[str, Any]) -> list[str]:
    """Say why what is recommended is, for each target and number of labels, and what is missing.

    Example:
        >>> facts = {"target": "new", "shots": 1, "strategy": "scratch", "rule": "none gains", "harmed": []}
        >>> (said,) = reasons({"metric": "accuracy", "rows": []}, {"baseline": "scratch", "choices": [facts]})
        >>> said[:61]
        'With 1 labelled row per class: no strategy gains over scratch'
    """
    several = len(targets(result)) > 1
    said = [
        f"{_place(choice, several)}{amount(choice, details)}: {choice['reason']}"
        for choice in choices(result, details)
    ]
    if missing := details.get("missing"):
        why = "" if (details.get("budget") or {}).get("trials") else ", which the choice of settings took"
        said.append(
            f"{missing} trials did not run within the time budget{why}; the same command continues with them."
        )
    if failed := (details.get("budget") or {}).get("failed"):
        names = sorted({trial["strategy"] for trial in failed})
        said.append(f"{len(failed)} trials failed with a loss that was not finite: {', '.join(names)}.")
    return said


def _place(choice: Choice, several: bool) -> str:
    return f"{choice['target']}: " if several else ""


def amount(choice: Choice, details: Mapping[str, Any]) -> str:
    """Say how many labels there were, as a sentence begins."""
    count, per_class = choice["shots"], about(details, choice["target"]).get("per_class", True)
    if details.get("baseline") == UNLABELLED:
        return "Without labels of the target"
    if count is None:
        return "With all labelled rows"
    return f"With {count} labelled row{'s' * (count != 1)}{' per class' * per_class}"


def reason(choice: Choice, result: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """Say by which rule a strategy was chosen, with the numbers that it looks at."""
    base, target = details["baseline"], choice["target"]
    metric = (details.get("metrics") or {}).get(target, {}).get("name") or result["metric"]
    say = _Numbers(metric == "accuracy")
    found = {row["strategy"]: row for row in _rows(result, choice)}
    warning = f" Did harm: {', '.join(choice['harmed'])}." if choice["harmed"] else ""
    if choice["rule"] == "no score":
        return "no trial has a score."
    if choice["rule"] == "gains":
        top = found[choice["strategy"]]
        low, high = top["gain_ci95"]
        return (
            f"{choice['strategy']} gains {say.difference(top['gain'])}{say.unit} over {base} "
            f"(95 % interval {say.difference(low)} to {say.difference(high)}); {choice['gaining']} of "
            f"{choice['many']} strategies gain with their whole interval.{warning}"
        )
    if choice["rule"] == "alone":
        score = say.score(found[choice["strategy"]]["mean"])
        return f"{choice['strategy']} scores {score}; there is nothing to compare it with."
    if choice["rule"] == "few seeds":
        score = say.score(found[choice["highest"]]["mean"])
        return (
            f"too few seeds for an interval; {choice['highest']} scored highest ({score}). "
            f"Run more seeds before leaving {base}.{warning}"
        )
    return f"no strategy gains over {base} with its whole interval above zero; keep {base}.{warning}"


def _rows(result: Mapping[str, Any], choice: Choice) -> Sequence[Mapping[str, Any]]:
    return [
        row for row in result["rows"]
        if row["shots"] == choice["shots"] and row.get("target", choice["target"]) == choice["target"]
    ]  # fmt: skip


class _Numbers:
    """Say numbers of a metric as tables do: accuracies in percent and points."""

    def __init__(self, percent: bool) -> None:
        self.percent = percent
        self.unit = " points" * percent

    def score(self, value: float) -> str:
        return f"{100 * value:.1f} %" if self.percent else f"{value:.3f}"

    def difference(self, value: float) -> str:
        return f"{100 * value:+.1f}" if self.percent else f"{value:+.3f}"
