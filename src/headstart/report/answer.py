"""What was found for one target with one number of labels: facts, of this release or an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .board import Board, Interval, Row, about, interval, number
from .findings import Alarm, Model, Shift, Source, Untold, alarms, model, shift, sources, untold
from .sizes import clean


@dataclass(frozen=True)
class Confirmed:
    """Hold a gain that was measured after the choice, on test rows and seeds that had no part in it."""

    strategy: str
    baseline: str
    gain: float
    gain_ci: Interval | None
    seeds: int
    test_rows: int | None


@dataclass(frozen=True)
class Answer:
    """Hold the answer for one number of labels.

    Args:
        shots: the number of labels.
        row: what to use; None where there is no score.
        outcome: ``"better"``, ``"not better"``, ``"not known yet"``, ``"nothing works"`` or ``"no score"``.
        baseline: whose score gains are measured against.
        among: whether held-out rows chose it; None where it was given.
        gain: of what to use, corrected for having been chosen; above 0 is better.
        gain_ci: its interval.
        best: rows that may be the best.
        gaining: names of the ways that gain.
        harmed: rows of the ways that do harm.
        worst: lower end of the lowest interval among the ways that are open.
        worst_of: which way that is.
        highest: the way without reuse that scored highest on the test rows.
        over_highest: what the one to use gains over that.
        unless: a way without reuse that the one to use is not clearly above.
        confirmed: the gain on rows and seeds that chose nothing; None where it was not asked for.
        seen: the smallest gain that would have been seen with a chance of about 80 %.
        needed: more ``seeds``, or ``test_rows`` in all, that would decide it.
        seeds: fewest and most seeds of any row.
        test_rows: how many rows, or groups of rows, scores are means over.
        unit: which of the two.
        same_rows: whether every seed trained on the same labelled rows.
        labelled: how many those are, where it is known.
        sources: what each source does to the ways in front.
        alarms: what looks wrong without any label; none but for the most labels.
        model: what is handed over; None but for the most labels.
        untold: how the way was chosen without a label of the target; None where labels had a part in it.
        shift: how the target differs from its sources; None but for the most labels.
        told: what an earlier release said of how the choice was made.
    """

    shots: int | None
    row: Row | None
    outcome: str
    baseline: str
    among: bool | None = None
    gain: float | None = None
    gain_ci: Interval | None = None
    best: tuple[Row, ...] = ()
    gaining: tuple[str, ...] = ()
    harmed: tuple[Row, ...] = ()
    worst: float | None = None
    worst_of: str = ""
    highest: str = ""
    over_highest: float | None = None
    unless: str = ""
    confirmed: Confirmed | None = None
    seen: float | None = None
    needed: Mapping[str, int] = field(default_factory=dict)
    seeds: tuple[int, int] = (0, 0)
    test_rows: int | None = None
    unit: str = "test row"
    same_rows: bool = False
    labelled: int | None = None
    sources: tuple[Source, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    model: Model | None = None
    untold: Untold | None = None
    shift: Shift | None = None
    told: str = ""

    @property
    def name(self) -> str:
        """Name what to use, or ""."""
        return self.row.strategy if self.row else ""

    @property
    def sure(self) -> Confirmed | None:
        """Give the confirmed gain, where it is of what to use over the baseline."""
        told = self.confirmed
        same = told is not None and (told.strategy, told.baseline) == (self.name, self.baseline)
        return told if same else None

    @property
    def harming(self) -> tuple[Source, ...]:
        """Give the sources that do harm."""
        return tuple(each for each in self.sources if each.verdict == "harms")


def answers(board: Board, result: Mapping[str, Any], details: Mapping[str, Any]) -> list[Answer]:
    """List what was found for a target, fewest labels first.

    Example:
        >>> from headstart.report.board import read
        >>> row = {"strategy": "probe", "shots": 1, "mean": 0.8, "gain": 0.1, "gain_ci95": [0.05, 0.15]}
        >>> result = {"metric": "accuracy", "rows": [row]}
        >>> (found,) = answers(read(result), result, {})
        >>> found.name, found.outcome
        ('probe', 'better')
    """
    if "answers" not in result:
        return [_earlier(board, shots, details) for shots in board.shots]
    found = {each["shots"]: each for each in result["answers"] if clean(each["target"]) == board.task}
    each = [_answer(board, shots, found.get(shots, {}), result, details) for shots in board.shots]
    heard = tuple(alarms(board, result))
    of_last = {"model": model(board, result), "alarms": heard, "shift": shift(board, result)}
    return [*each[:-1], *(replace(last, **of_last) for last in each[-1:])]  # type: ignore[arg-type]


def _answer(
    board: Board,
    shots: int | None,
    facts: Mapping[str, Any],
    result: Mapping[str, Any],
    details: Mapping[str, Any],
) -> Answer:
    rows, told = board.at(shots), clean(facts.get("strategy") or "")
    labelled = number(about(details, board.task).get("labelled"))
    judged = [row.judged_on for row in rows if row.mean is not None]
    among = facts.get("chosen_on")
    test_rows = number(facts.get("test_rows"))
    return Answer(
        shots=shots,
        row=_named(rows, facts.get("strategy")),
        outcome=facts.get("outcome") or "no score",
        baseline=board.baseline(shots),
        among=None if among is None else bool(among),
        gain=number(facts.get("gain")),
        gain_ci=interval(facts.get("gain_ci95")),
        best=tuple(row for row in rows if row.may_be_best),
        gaining=tuple(clean(name) for name in facts.get("gaining") or ()),
        harmed=tuple(row for row in rows if row.harmed),
        worst=number(facts.get("worst")),
        worst_of=clean(facts.get("worst_of") or ""),
        highest=clean(facts.get("highest") or ""),
        over_highest=number(facts.get("over_highest")),
        unless=clean(facts.get("unless") or ""),
        confirmed=_confirmed(facts.get("confirmed") or {}),
        seen=number(facts.get("seen")),
        needed=facts.get("needed") or {},
        seeds=(min(judged), max(judged)) if judged else (0, 0),
        test_rows=None if test_rows is None else int(test_rows),
        unit=board.unit if number(about(details, board.task).get("test_groups")) is None else "test group",
        same_rows=shots is None and board.labelled,
        labelled=None if labelled is None else int(labelled),
        sources=tuple(each for each in sources(board, result, told) if each.shots == shots),
        untold=untold(facts),
    )


def _confirmed(facts: Mapping[str, Any]) -> Confirmed | None:
    gain, test_rows = number(facts.get("gain")), number(facts.get("test_rows"))
    if gain is None:
        return None
    return Confirmed(
        clean(facts.get("strategy") or ""),
        clean(facts.get("baseline") or ""),
        gain,
        interval(facts.get("gain_ci95")),
        len(facts.get("seeds") or ()),
        None if test_rows is None else int(test_rows),
    )


def _earlier(board: Board, shots: int | None, details: Mapping[str, Any]) -> Answer:
    """Find the answer of a result that holds none: what was chosen, and whether its interval is above 0."""
    rows = board.at(shots)
    chosen = (details.get("recommended_by_shots") or {}).get("all" if shots is None else str(shots)) or {}
    gaining = [row.strategy for row in rows if board.verdict(row) == "gains"]
    name = chosen.get("strategy") or (board.recommended if len(board.shots) == 1 else None)
    row = _named(rows, name if name is not None else next(iter(gaining), None))
    scored = [len(each.seeds) for each in rows if each.mean is not None]
    better = row is not None and row.strategy in gaining
    test_rows = number(about(details, board.task).get("test_rows"))
    return Answer(
        shots=shots,
        row=row,
        outcome="better" if better else "not known yet" if scored else "no score",
        baseline=board.baseline(shots),
        gain=row.gain if row else None,
        gain_ci=row.gain_ci if row else None,
        gaining=tuple(gaining),
        harmed=tuple(each for each in rows if each.harmed),
        seeds=(min(scored), max(scored)) if scored else (0, 0),
        test_rows=None if test_rows is None else int(test_rows),
        told=clean(chosen.get("reason") or ""),
    )


def _named(rows: Sequence[Row], name: object) -> Row | None:
    return next((row for row in rows if name is not None and row.strategy == clean(name)), None)
