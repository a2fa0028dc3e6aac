"""The comparison as plain text for a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from .board import MINUS, Board, Row, count, read, seconds, targets

LEAST_NAME = 10


def _fit(text: str, width: int) -> str:
    """Cut or pad to that many terminal cells; a wide character takes two."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return set_cell_size(text, max(width - 1, 0)) + "…" * (width > 0)


def _columns(board: Board, rows: list[Row]) -> list[tuple[str, list[str]]]:
    """Give the columns after the name, the most telling first; the last ones go when space is short."""

    def with_interval(x: float | None, ends: tuple[float, float] | None, signed: bool) -> str:
        text = board.value(x, signed=signed)
        if ends is None:
            return text
        low, high = (board.value(end, signed=signed) for end in ends)
        return f"{text} [{low}, {high}]"

    return [
        (board.unit, [with_interval(r.mean, r.ci, False) for r in rows]),
        ("gain", [with_interval(r.gain, r.gain_ci, True) for r in rows]),
        ("time", [seconds(r.seconds) for r in rows]),
        ("trained", [count(r.parameters) for r in rows]),
    ]


def _block(board: Board, shots: int | None, width: int) -> list[str]:
    rows = board.at(shots)
    columns = _columns(board, rows)
    needed = max([LEAST_NAME, *(len(r.strategy) for r in rows)])
    widths = [max(len(head), *(len(cell) for cell in cells)) for head, cells in columns]

    def left() -> int:
        return width - 2 - sum(w + 2 for w in widths)

    while len(widths) > 2 and left() < min(needed, 26):
        widths.pop()
    if left() < LEAST_NAME:  # two lines for a strategy: the name, then its numbers
        lines = []
        for i, row in enumerate(rows):
            lines.append(f"{_mark(board, row)} {row.strategy}")
            lines += [f"    {head} {cells[i]}" for head, cells in columns[:2]]
        return lines
    name = min(needed, left())
    heads = "".join(f"  {head:>{w}}" for (head, _), w in zip(columns, widths, strict=False))
    lines = [f"  {_fit('strategy', name)}{heads}"]
    for i, row in enumerate(rows):
        cells = "".join(f"  {cells[i]:>{w}}" for (_, cells), w in zip(columns, widths, strict=False))
        lines.append(f"{_mark(board, row)} {_fit(row.strategy, name)}{cells}")
    return lines


def _mark(board: Board, row: Row) -> str:
    return {"gains": "+", "harms": "!"}.get(board.verdict(row), " ")


def table(
    result: Mapping[str, Any], details: Mapping[str, Any] | None = None, *, width: int | None = None
) -> str:
    """Lay a comparison out as text that fits a terminal.

    One block for each number of labels, best strategy first, with the mean over the seeds, the paired
    gain over the baseline and their 95 % intervals. Columns that do not fit are left out, cost first;
    a very narrow terminal gets two lines for a strategy.

    Args:
        result: the plain values of ``result.json``.
        details: the plain values of ``details.json``, where they are at hand.
        width: width in character cells, at least 1; None for the terminal's own, at most 100.
    Shape:
        returns lines of at most ``width`` cells, joined by newlines, without one at the end.
    Raises:
        ValueError: if ``result`` has no metric or no rows.

    Example:
        >>> row = {"strategy": "probe", "shots": 1, "mean": 0.79, "ci95": [0.75, 0.83], "seeds": [0.79]}
        >>> print(table({"task": "digits", "metric": "accuracy", "rows": [row]}, width=60))
        digits: accuracy, %, mean of 1 seed
        <BLANKLINE>
        1 labelled example per class
          strategy         accuracy, %  gain  time  trained
          probe      79.0 [75.0, 83.0]     –     –        –

    References:
        Cumming & Finch (2005), Inference by eye: how to read 95 % intervals and paired differences,
        https://doi.org/10.1037/0003-066X.60.2.170
    """
    boards = [read(result, details, name) for name in targets(result)]
    width = max(1, min(shutil.get_terminal_size().columns, 100) if width is None else width)
    lines = [line for board in boards for line in [*_target(board, width), ""]][:-1]
    lines += _together(result.get("summary") or (), boards[0])
    rows = [(board, row) for board in boards for row in board.rows]
    marks = {board.verdict(row) for board, row in rows}
    if any(row.gain is not None for _, row in rows):
        legend = f"[low, high] is a 95 % interval; gain is the paired difference to {boards[0].baseline}"
        legend += "; + gains" * ("gains" in marks) + "; ! does harm" * ("harms" in marks)
        lines += ["", *textwrap.wrap(legend, width)]
    if boards[0].recommended is not None:
        lines += ["", *textwrap.wrap(f"Recommended: {boards[0].recommended}", width)]
    for reason in boards[0].reasons:
        lines += (
            textwrap.wrap(reason, width, initial_indent="  ", subsequent_indent="  ") if width > 9 else []
        )
    return "\n".join(_fit(_plain(line), width).rstrip() for line in lines)


def _target(board: Board, width: int) -> list[str]:
    """Lay out the rows of one target."""
    plural = "" if board.seeds == 1 else "s"
    lines = [f"{board.task}: {board.unit}, mean of {board.seeds} seed{plural}"]
    for shots in board.shots:
        lines += ["", board.amount(shots), *_block(board, shots, width)]
    return lines


def _together(summary: Sequence[Mapping[str, Any]], board: Board) -> list[str]:
    """Lay out the mean relative gain over several targets."""
    lines = ["", "all targets together: mean relative gain, %"] if summary else []
    for shots in dict.fromkeys(row["shots"] for row in summary):
        rows = [row for row in summary if row["shots"] == shots and row["delta_m"] is not None]
        lines += ["", board.amount(shots)]
        for row in sorted(rows, key=lambda row: -row["delta_m"]):
            ends = row["delta_m_ci95"]
            span = f" [{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}]" if ends else ""
            lines.append(f"  {_fit(row['strategy'], 26)}  {100 * row['delta_m']:+6.1f}{span}")
    return lines


def _plain(line: str) -> str:
    """Drop the spaces at a line's end and write the minus that every terminal has."""
    return line.rstrip().replace(MINUS, "-")
