"""What stands beside the answer in a result: sources, the model, a check under other protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .board import Board, Interval, harmful, interval, number, without
from .sizes import clean


@dataclass(frozen=True)
class Source:
    """Hold what one source does to the way in front.

    Args:
        strategy: the way that was run with and without it.
        shots: with how many labels.
        whole: score with all sources.
        less: score without this one.
        gain: what the way gains by it; above 0 is better.
        verdict: ``"helps"``, ``"harms"`` or ``"open"``.
        without: whether what is recommended is learned without it.
        alone: score with this source alone; None where that did not run.
    """

    name: str
    strategy: str
    shots: int | None
    whole: float | None
    less: float | None
    gain: float | None
    gain_ci: Interval | None
    verdict: str
    without: bool
    alone: float | None = None


def sources(board: Board, result: Mapping[str, Any], chosen: str = "") -> list[Source]:
    """List what each source does for a target.

    Args:
        chosen: what is recommended there.
    """
    rows = [row for row in result.get("sources") or () if clean(row.get("target") or "") == board.task]
    harming = harmful(result)
    found = []
    for row in rows:
        way, name = clean(row.get("strategy") or "?"), str(row.get("source"))
        spoiled = harming.get(way, [])
        left = [[name]] + [spoiled] * (name in spoiled)
        shots = number(row.get("shots"))
        found.append(
            Source(
                clean(name),
                way,
                None if shots is None else int(shots),
                number(row.get("with")),
                number(row.get("without")),
                number(row.get("difference")),
                interval(row.get("difference_ci95")),
                str(row.get("verdict") or "open"),
                chosen in [without(way, names) for names in left],
                number(row.get("alone")),
            )
        )
    return found


@dataclass(frozen=True)
class Alarm:
    """Hold what looks wrong in answers to rows without labels, judged by no label.

    Args:
        kind: ``"one class"``, ``"class shares"``, ``"little information"`` or ``"contradiction"``; or of its
            losses ``"label loss rises"``, ``"critic has won"`` or ``"critic is lost"``.
        way: whose answers they are, and of which source alone.
        value: a share of the rows, or of the information that there is; of losses the step.
        sources: the two that contradict each other.
    """

    kind: str
    way: str
    value: float
    sources: tuple[str, ...] = ()


def alarms(board: Board, result: Mapping[str, Any]) -> list[Alarm]:
    """List the alarms for a target."""
    found = []
    for row in result.get("alarms") or ():
        value, source, other = number(row.get("value")), row.get("source"), row.get("other")
        if clean(row.get("target") or "") != board.task or value is None:
            continue
        way = clean(row.get("strategy") or "?")
        if other is not None:
            pair = clean(source), clean(other)
            found.append(Alarm(str(row.get("alarm")), way, value, pair))
        else:
            alone = "" if source is None else f" of {clean(source)} alone"
            found.append(Alarm(str(row.get("alarm")), way + alone, value))
    return found


@dataclass(frozen=True)
class Untold:
    """Hold how a way was chosen without a label of the target.

    Args:
        by: what it was judged by.
        best: the way that scored highest on the test rows.
        cost: what the chosen one is below that.
        refused: ways that align features, where that does harm.
    """

    by: str
    best: str
    cost: float
    refused: tuple[str, ...]


def untold(facts: Mapping[str, Any]) -> Untold | None:
    """Read how an answer was chosen; None where labels of the target had a part in it."""
    told = facts.get("without_labels")
    if not told:
        return None
    refused = tuple(clean(name) for name in told.get("refused") or ())
    return Untold(
        clean(told.get("by") or ""), clean(told.get("best") or ""), number(told.get("cost")) or 0.0, refused
    )


@dataclass(frozen=True)
class Shift:
    """Hold how a target's bare rows differ from the sources', as it was seen before training.

    Args:
        kind: ``"none"``, ``"label"``, ``"covariate"`` or ``"conditional"``.
        ratios: by class how many times as common it is in the target.
        outside: part of the target's rows where the sources have hardly any.
    """

    kind: str
    ratios: Mapping[str, float]
    outside: float


def shift(board: Board, result: Mapping[str, Any]) -> Shift | None:
    """Find how a target differs from its sources; None where nobody could say."""
    named = {clean(name): facts for name, facts in (result.get("shifts") or {}).items()}
    facts = named.get(board.task)
    if not facts:
        return None
    ratios = {clean(name): number(x) for name, x in (facts.get("class_ratio") or {}).items()}
    known = {name: x for name, x in ratios.items() if x is not None}
    return Shift(str(facts.get("kind")), known, number(facts.get("outside")) or 0.0)


@dataclass(frozen=True)
class Model:
    """Hold the model that is handed over, trained once on all labelled rows.

    Args:
        strategy: that it was made by.
        rows: that it was trained on.
        score: its own, on the test rows.
        log_loss: of its probabilities.
        off: how far they are from what comes true (ECE).
        before: the same before they were scaled.
    """

    strategy: str
    rows: int | None
    score: float | None
    ci: Interval | None
    log_loss: float | None
    off: float | None
    before: float | None


def model(board: Board, result: Mapping[str, Any]) -> Model | None:
    """Find the model for a target; None where none was handed over."""
    named = {clean(name): facts for name, facts in (result.get("model") or {}).items()}
    facts = named.get(board.task)
    if not facts:
        return None
    rows, ece = number(facts.get("rows")), facts.get("ece") or [None, None]
    return Model(
        clean(facts.get("strategy") or "?"),
        None if rows is None else int(rows),
        number(facts.get("score")),
        interval(facts.get("ci95")),
        number((facts.get("measures") or {}).get("log_loss")),
        number(ece[-1]),
        number(ece[0]),
    )


@dataclass(frozen=True)
class Protocol:
    """Hold what was found under one other protocol."""

    name: str
    verdict: str
    gain: float | None
    gain_ci: Interval | None


@dataclass(frozen=True)
class Check:
    """Hold whether a verdict survives other protocols.

    Args:
        strategy: whose verdict it is.
        stays: under how many it is the same.
        turned: under which it is the contrary.
    """

    strategy: str
    baseline: str
    verdict: str
    stays: int
    turned: tuple[str, ...]
    protocols: tuple[Protocol, ...]


def check(details: Mapping[str, Any]) -> Check | None:
    """Find the check in the details, where ``check.json`` was put; None where there was none."""
    facts = details.get("check")
    if not facts:
        return None
    protocols = tuple(
        Protocol(
            clean(row.get("protocol")),
            str(row.get("verdict")),
            number(row.get("gain")),
            interval(row.get("gain_ci95")),
        )
        for row in facts.get("protocols") or ()
    )
    return Check(
        clean(facts.get("strategy") or "?"),
        clean(facts.get("baseline")),
        str(facts.get("verdict")),
        int(number(facts.get("stays")) or 0),
        tuple(clean(name) for name in facts.get("turned") or ()),
        protocols,
    )
