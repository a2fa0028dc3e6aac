"""The answer in words: what to use with how many labels, by how much, and what did harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .board import MINUS, Board, Row, clean, sentence


@dataclass(frozen=True)
class Answer:
    """Hold the answer for one number of labels.

    Args:
        pays: whether some way of reuse gains with its whole interval on the right side of zero.
        row: what is recommended; None where nothing is.
        sentences: plain text, the most important first.
        reason: how the choice was made, in the words of whoever made it.
    """

    shots: int | None
    heading: str
    pays: bool
    row: Row | None
    headline: str
    sentences: tuple[str, ...]
    reason: str


def _difference(board: Board, row: Row) -> str:
    """Say the gain of a row as a half sentence, with its interval where there is one."""
    assert row.gain is not None
    size = board.value(row.gain, signed=True).lstrip(f"+{MINUS}")
    unit = f"point{'' if size == '1.0' else 's'} " if board.percent else ""
    side = "above" if row.gain >= 0 else "below"
    text = f"{size} {unit}{side} {board.baseline}"
    if row.gain_ci is not None:
        low, high = (board.value(end, signed=True) for end in row.gain_ci)
        text += f" (95 % interval {low} to {high}, {len(row.seeds)} seeds)"
    return text


def _harm(board: Board, rows: list[Row]) -> str:
    harmed = [row for row in rows if row.harmed]
    if not harmed:
        return "No strategy did harm." if any(row.gain_ci for row in rows) else ""
    named = ", ".join(f"{row.strategy} ({board.value(row.gain, signed=True)})" for row in harmed[-4:][::-1])
    named += f" and {len(harmed) - 4} more" if len(harmed) > 4 else ""
    return f"{len(harmed)} {'strategy' if len(harmed) == 1 else 'strategies'} did harm: {named}."


def answer(board: Board, shots: int | None, choices: Sequence[Mapping[str, Any]]) -> Answer:
    """Say what to do with that many labels.

    Args:
        choices: what was chosen, as ``words.choices`` lists it.

    Example:
        >>> from headstart.report.board import read
        >>> row = {"strategy": "probe", "shots": 1, "mean": 0.8, "gain": 0.1, "gain_ci95": [0.05, 0.15]}
        >>> found = answer(read({"metric": "accuracy", "rows": [row]}), 1, [])
        >>> found.headline, found.sentences[0]
        ('probe', '80.0 % accuracy, 10.0 points above scratch (95 % interval +5.0 to +15.0, 0 seeds).')
    """
    rows = board.at(shots)
    gaining = [row for row in rows if board.verdict(row) == "gains"]
    alike = (c for c in choices if c["shots"] == shots and clean(c["target"]) == board.task)
    choice: Mapping[str, Any] = next(alike, {})
    name = clean(choice["strategy"]) if choice.get("strategy") else None
    if name is None and len(board.shots) == 1:
        name = board.recommended
    if name is None and gaining:
        name = gaining[0].strategy
    row = next((row for row in rows if row.strategy == name), None)
    side = "above" if board.higher else "below"
    sentences = []
    if row is not None and row.mean is not None:
        reached = f"{board.score(row.mean)} {board.metric}"
        sentences.append(f"{reached}, {_difference(board, row)}." if row.gain is not None else f"{reached}.")
    if all(row.mean is None for row in rows):
        sentences.append("No trial has a result yet.")
    elif not any(row.gain_ci for row in rows):
        sentences.append("There are too few seeds for intervals, so nothing is decided; run with at least 2.")
    elif gaining:
        tried = len([row for row in rows if row.gain is not None])
        sentences.append(
            f"{len(gaining)} of {tried} ways of reuse gain with their whole interval {side} zero."
        )
    else:
        sentences.append(
            f"No way of reuse gains with its whole interval {side} zero: nothing here shows that reuse pays."
        )
    sentences.append(_harm(board, rows))
    reason = sentence(clean(choice.get("reason") or ""))
    headline = row.strategy if row is not None else "No recommendation"
    heading = f"With {board.amount(shots)}"
    return Answer(shots, heading, bool(gaining), row, headline, tuple(filter(None, sentences)), reason)
