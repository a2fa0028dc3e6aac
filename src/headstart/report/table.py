"""The comparison as plain text for a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from . import words
from .answer import Answer, answers
from .board import Board, Interval, Row, read, targets
from .findings import Source, check
from .sizes import MINUS, Sizes, clean, count, seconds, sentence

LEAST_NAME = 10
MARKS = {"gains": "+", "equal": "=", "harms": "!", "none": "."}
MARKED = "".join(MARKS.values()) + "*"
NO_BREAK = "\N{NO-BREAK SPACE}"  # a mark stays on the line of its word
SECOND = "/scratch"
MARGIN = 4  # for both marks
DROPPED = (4, 2, 3)  # columns that go where space is short, in this order
NAMED = 8  # of the ways that did not run


def _fit(text: str, width: int) -> str:
    """Cut or pad to that many terminal cells; a wide character takes two."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return set_cell_size(text, max(width - 1, 0)) + "…" * (width > 0)


def _columns(board: Board, rows: list[Row]) -> list[tuple[str, list[str]]]:
    """Give the columns after the name."""
    say = board.say

    def score(row: Row) -> str:
        return say.value(row.mean) + _span(row.ci and (say.value(row.ci[0]), say.value(row.ci[1])))

    def gain(row: Row) -> str:
        if board.verdict(row) == "baseline":
            return "baseline"
        return say.change(row.gain) + _span(row.gain_ci and _ends(say, row.gain_ci))

    columns = [
        (say.unit, [score(row) for row in rows]),
        ("error saved, %" if say.ratio else "gain", [gain(row) for row in rows]),
        (SECOND, [say.change(row.over_scratch) for row in rows]),
        ("time", [seconds(row.seconds) for row in rows]),
        ("trained", [count(row.parameters) for row in rows]),
    ]
    if not _second(board, rows):
        columns[2] = ("", [])
    return columns


def _second(board: Board, rows: Sequence[Row]) -> bool:
    """Tell whether gains over scratch are others than those over the baseline."""
    told = any(row.over_scratch is not None for row in rows)
    return told and any(board.baseline(row.shots) != "scratch" for row in rows)


def _ends(say: Sizes, ends: Interval) -> tuple[str, str]:
    return say.change(ends[0]), say.change(ends[1])


def _span(ends: tuple[str, str] | None) -> str:
    return f" [{ends[0]}, {ends[1]}]" if ends else ""


def _block(board: Board, shots: int | None, width: int) -> list[str]:
    rows = board.at(shots)
    columns = _columns(board, rows)
    needed = max([LEAST_NAME, *(len(r.strategy) for r in rows)])
    widths = [max([len(head), *map(len, cells)]) for head, cells in columns]
    shown = [i for i, (_, cells) in enumerate(columns) if cells]

    def left() -> int:
        return width - MARGIN - sum(widths[i] + 2 for i in shown)

    for i in DROPPED:
        if i in shown and left() < min(needed, 26):
            shown.remove(i)
    if left() < LEAST_NAME:  # some lines for a strategy: the name, then its numbers
        lines = []
        for k, row in enumerate(rows):
            lines.append(f"{_marks(board, row)}{row.strategy}")
            lines += [f"      {columns[0][1][k]}", f"      gain {columns[1][1][k]}"]
        return lines
    name = min(needed, left())
    lines = [
        " " * MARGIN + _fit("strategy", name) + "".join(f"  {columns[i][0]:>{widths[i]}}" for i in shown)
    ]
    for k, row in enumerate(rows):
        cells = "".join(f"  {columns[i][1][k]:>{widths[i]}}" for i in shown)
        lines.append(f"{_marks(board, row)}{_fit(row.strategy, name)}{cells}")
    return lines


def _marks(board: Board, row: Row) -> str:
    return f"{MARKS.get(board.verdict(row), ' ')} {'*' if board.marked_best(row) else ' '} "


def table(
    result: Mapping[str, Any], details: Mapping[str, Any] | None = None, *, width: int | None = None
) -> str:
    """Lay a comparison out as text that fits a terminal.

    One block for each number of labels, best strategy first: the mean over the seeds, the gain over the
    baseline, what each of them is worth in words, and what to do next. Columns that do not fit are left
    out, cost first; a very narrow terminal gets three lines for a strategy.

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
        digits: accuracy, %, over 1 seed
        <BLANKLINE>
        1 labelled row per class
            strategy         accuracy, %  gain  time  trained
            probe      79.0 [75.0, 83.0]     –     –        –

    References:
        Cumming & Finch (2005), Inference by eye: how to read 95 % intervals and paired differences,
        https://doi.org/10.1037/0003-066X.60.2.170
    """
    told = details or {}
    boards = [read(result, told, name) for name in targets(result)]
    found = [answers(board, result, told) for board in boards]
    width = max(1, min(shutil.get_terminal_size().columns, 100) if width is None else width)
    lines: list[str] = []
    for board, each in zip(boards, found, strict=True):
        lines += [*_target(board, each, told, width), ""]
    lines = lines[:-1] + _together(result.get("summary") or (), boards[0], width)
    second = any(SECOND in line for line in lines)
    lines += ["", *_wrapped(legend, width)] if (legend := _legend(boards, second)) else []
    notes = (words.corrected(each, board) for board, each in zip(boards, found, strict=True))
    lines += _wrapped(sentence(next(filter(None, notes), "")), width)
    lines += ["", *_wrapped(f"Recommended: {chosen}", width)] if (chosen := _recommended(boards)) else []
    for said in boards[0].reasons:
        lines += textwrap.wrap(said, width, initial_indent="  ", subsequent_indent="  ") if width > 9 else []
    if found_again := check(told):
        lines += textwrap.wrap(
            words.survives(found_again), width, initial_indent="  ", subsequent_indent="  "
        ) * (width > 9)
    lines += ["", *_wrapped(said, width)] if (said := _skipped(told)) else []
    return "\n".join(_fit(_plain(line), width).rstrip() for line in lines)


def _skipped(details: Mapping[str, Any]) -> str:
    """Name the ways that did not run, a few of many."""
    names = [clean(name) for name in details.get("skipped") or ()]
    more = [f"{len(names) - NAMED} others"] if len(names) > NAMED else []
    return f"Not run (the report says why): {', '.join(names[:NAMED] + more)}" if names else ""


def checked(result: Mapping[str, Any], details: Mapping[str, Any], *, width: int | None = None) -> str:
    """Lay a check under other protocols out as text, one line for each.

    Args:
        result: the plain values of ``result.json``.
        details: those of ``details.json``, with ``check``; without it there is no text.
        width: as of ``table``.

    Example:
        >>> row = {"protocol": "half the steps", "verdict": "gains", "gain": 0.1, "gain_ci95": [0.05, 0.15]}
        >>> told = {"strategy": "probe", "baseline": "scratch", "verdict": "gains", "stays": 1}
        >>> found = {"metric": "accuracy", "rows": []}
        >>> print(checked(found, {"check": told | {"protocols": [row]}}, width=60))
        probe gains over scratch: the verdict is the same under 1 of
        1 other protocols. It turns under none.
        + half the steps  +10.0 [+5.0, +15.0]
    """
    told = check(details)
    if told is None:
        return ""
    width = max(1, min(shutil.get_terminal_size().columns, 100) if width is None else width)
    named = (details.get("check") or {}).get("target")
    say = read(result, details, named if named in targets(result) else None).say
    longest = max((len(one.name) for one in told.protocols), default=0)
    lines = _wrapped(words.survives(told), width)
    for one in told.protocols:
        span = _span(one.gain_ci and _ends(say, one.gain_ci))
        lines.append(f"{MARKS.get(one.verdict, ' ')} {_fit(one.name, longest)}  {say.change(one.gain)}{span}")
    return "\n".join(_fit(_plain(line), width).rstrip() for line in lines)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width)


def _target(board: Board, found: Sequence[Answer], details: Mapping[str, Any], width: int) -> list[str]:
    """Lay out the rows of one target."""
    scopes = list(dict.fromkeys(filter(None, map(words.scope, found))))
    over = f", {scopes[0]}" if len(scopes) == 1 else ""
    lines = _wrapped(f"{board.task}: {board.say.unit}{over}", width)
    if shares := words.shares(board, details):
        lines += _wrapped(shares, width)
    if drawn := words.draw(board, details):
        lines += _wrapped(drawn, width)
    for each in found:
        scope = f", {words.scope(each)}" if len(scopes) > 1 and words.scope(each) else ""
        lines += ["", board.amount(each.shots) + scope, *_block(board, each.shots, width)]
        lines += [line for said in words.warnings(board, each, details) for line in _wrapped(said, width)]
        lines += _sources(board, each, width)
    return lines


def _sources(board: Board, found: Answer, width: int) -> list[str]:
    """Lay out what each source does to the ways in front."""
    ways = dict.fromkeys(one.strategy for one in found.sources)
    return [line for way in ways for line in _apart(board, way, found.sources, width)]


def _apart(board: Board, way: str, sources: Sequence[Source], width: int) -> list[str]:
    say, sources = board.say, [one for one in sources if one.strategy == way]
    heads = ["with all", "without", "alone", "gain by it"]
    cells = [
        [say.value(one.whole), say.value(one.less), say.value(one.alone),
         say.change(one.gain) + _span(one.gain_ci and _ends(say, one.gain_ci))]
        for one in sources
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    shown = [0, 1, 2, 3] if any(one.alone is not None for one in sources) else [0, 1, 3]
    if width - MARGIN - sum(widths[i] + 2 for i in shown) < LEAST_NAME:
        shown = [3]
    room = width - MARGIN - sum(widths[i] + 2 for i in shown)
    name = max(1, min(room, max(len(one.name) for one in sources), 26))
    lines = ["", *_wrapped(f"which source: {way} with all and without each", width)]
    if room >= LEAST_NAME:
        lines.append(" " * (MARGIN + name) + "".join(f"  {heads[i]:>{widths[i]}}" for i in shown))
    for one, row in zip(sources, cells, strict=True):
        mark = {"helps": "+", "harms": "!"}.get(one.verdict, " ")
        if room < LEAST_NAME:
            lines += [f"{mark}   {one.name}", f"      {row[3]}"]
        else:
            numbers = "".join(f"  {row[i]:>{widths[i]}}" for i in shown)
            lines.append(f"{mark}   {_fit(one.name, name)}{numbers}")
    return lines


def _legend(boards: Sequence[Board], second: bool) -> str:
    """Say what the marks mean, those that are there."""
    rows = [(board, row) for board in boards for row in board.rows]
    if all(row.gain is None for _, row in rows):
        return ""
    marks = {board.verdict(row) for board, row in rows}
    named = ", or ".join(dict.fromkeys(filter(None, (board.baseline_names for board in boards))))
    parts = [f"gain: over {named}" if named else "gain: over the baseline"]
    parts += [f"{SECOND}: gain over scratch"] * second
    parts.append("[low, high]: 95 % interval")
    parts += [f"{MARKS[mark]} {word}" for mark, word in _WORDS.items() if mark in marks]
    parts += [f". {_plainly(boards)}"] if "none" in marks else []
    parts += ["* may be best"] if any(board.marked_best(row) for board, row in rows) else []
    parts += list(dict.fromkeys(filter(None, (words.far(board) for board in boards))))
    return "; ".join(each.replace(" ", NO_BREAK) if each[0] in MARKED else each for each in parts)


_WORDS = {"gains": "gains", "equal": "equal", "harms": "does harm"}


def _plainly(boards: Sequence[Board]) -> str:
    return "no reuse" if boards[0].labelled else "not adapted"


def _recommended(boards: Sequence[Board]) -> str:
    named = {board.task: board.recommended for board in boards if board.recommended is not None}
    if len(set(named.values())) == 1:
        return next(iter(named.values()))
    return "; ".join(f"{task}: {name}" for task, name in named.items())


def _together(summary: Sequence[Mapping[str, Any]], board: Board, width: int) -> list[str]:
    """Lay out the mean relative gain over several targets."""
    if not summary:
        return []
    lines = ["", *_wrapped("all targets together: mean relative gain, %", width)]
    name = max(LEAST_NAME, min(26, width - 30))
    for shots in dict.fromkeys(row["shots"] for row in summary):
        rows = [row for row in summary if row["shots"] == shots and row["delta_m"] is not None]
        lines += ["", board.amount(shots)]
        for row in sorted(rows, key=lambda row: -row["delta_m"]):
            ends = row["delta_m_ci95"]
            span = f" [{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}]" if ends else ""
            lines.append(f"   {_fit(clean(row['strategy']), name)}  {100 * row['delta_m']:+6.1f}{span}")
            if harmed := row.get("harmed"):
                lines += _wrapped(f"   harms {', '.join(map(clean, harmed))}", width)
    return lines


def _plain(line: str) -> str:
    """Drop the spaces at a line's end and write the minus that every terminal has."""
    return line.rstrip().replace(MINUS, "-").replace(NO_BREAK, " ")
