"""All strategies in order: scores, gains, what was decided of each, and every measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .answer import Answer
from .board import Board, Interval, Row, Verdict
from .figures import NARROW, WIDE, by_shots, gains
from .findings import Check, Source
from .markup import breakable, esc, grid, listed
from .sizes import MINUS, NAMES, sentence
from .words import corrected, far, heading, survives

VERDICTS = {
    "gains": "● gains",
    "equal": "◆ equal",
    "harms": "✕ did harm",
    "open": "○ open",
    "unknown": "no interval",
    "baseline": "□ baseline",
    "none": "□ no reuse",
}
STAR = "★"
BETWEEN = ' <span class="range">95 % interval</span>'


def verdict(board: Board, told: Verdict) -> str:
    """Say what was decided of a row, with its mark."""
    return "□ not adapted" if told == "none" and not board.labelled else VERDICTS[told]


def leaderboard(board: Board, found: Sequence[Answer]) -> str:
    """Lay out the rows of each number of labels, best first, and every measure, folded."""
    say = board.say
    unit = f", {say.gain_unit}" if say.gain_unit else ""
    text = ""
    for each in found:
        rows = board.at(each.shots)
        second = any(row.over_scratch is not None for row in rows) and each.baseline != "scratch"
        over = f" over {breakable(each.baseline)}" if each.baseline else ""
        heads = [
            "strategy",
            esc(say.unit).replace(" %", "&nbsp;%") + BETWEEN,
            f'gain{unit} <span class="range">{over}</span>',
        ]
        heads += ['gain <span class="range"> over scratch</span>'] * second + ["verdict", "seeds"]
        marked = any(map(board.marked_best, rows))
        lines = [_row(board, row, each.name, second) for row in rows]
        text += grid(
            heading(each, board), heads, lines, "board ranks" + " second" * second + " starred" * marked
        )
        said = [f"{STAR} may be best" * marked, far(board), corrected([each], board)]
        text += "".join(f'<p class="note">{esc(sentence(one))}</p>' for one in said if one)
        text += _measures(board, rows)
    return text


def _row(board: Board, row: Row, chosen: str, second: bool) -> str:
    say = board.say

    def cell(x: float | None, ends: Interval | None, tell: Callable[[float | None], str]) -> str:
        span = f"{tell(ends[0])} to {tell(ends[1])}" if ends else ""
        return f'<td>{tell(x)} <span class="range">{span}</span></td>'

    told = board.verdict(row)
    kinds = ["chosen"] * (row.strategy == chosen) + [told] * (told in ("none", "baseline"))
    mark = f' class="{" ".join(kinds)}"' if kinds else ""
    best = f'<i role="img" aria-label="may be best">{STAR}</i>' * board.marked_best(row)
    return (
        f'<tr{mark}><th scope="row">{best}{breakable(row.strategy)}</th>{cell(row.mean, row.ci, say.value)}'
        f"{cell(row.gain, row.gain_ci, say.change)}"
        + cell(row.over_scratch, row.over_scratch_ci, say.change) * second
        + f'<td class="text {told}">{verdict(board, told)}</td><td>{row.judged_on}</td></tr>'
    )


def _measures(board: Board, rows: Sequence[Row]) -> str:
    """Lay out every measure that there is, under a fold."""
    named = list(dict.fromkeys(name for row in rows for name in row.measures))
    if not named:
        return ""
    lines = []
    for row in rows:
        cells = "".join(
            "<td>–</td>" if (x := row.measures.get(n)) is None else f"<td>{x:.3f}</td>" for n in named
        )
        lines.append(f'<tr><th scope="row">{breakable(row.strategy)}</th>{cells}</tr>')
    heads = ["strategy", *(esc(NAMES.get(name, name.replace("_", " "))) for name in named)]
    table = grid("Means over the seeds", heads, lines, "board")
    return f"<details><summary>All measures</summary>{table}</details>\n"


SOURCES = {"helps": "● helps", "harms": "✕ harms", "open": "○ open"}


def apart(board: Board, found: Sequence[Answer]) -> str:
    """Lay out what each source does to the ways in front."""
    ways = {(each.shots, one.strategy): each for each in found for one in each.sources}
    return "".join(
        _apart(board, heading(each, board), [one for one in each.sources if one.strategy == way])
        for (_, way), each in ways.items()
    )


def _apart(board: Board, place: str, sources: Sequence[Source]) -> str:
    say, lines = board.say, []
    alone = any(one.alone is not None for one in sources)
    for one in sources:
        kind = {"helps": "gains"}.get(one.verdict, one.verdict)
        single = f"<td>{say.value(one.alone)}</td>" * alone
        lines.append(
            f'<tr><th scope="row">{breakable(one.name)}</th><td>{say.value(one.whole)}</td>'
            f"<td>{say.value(one.less)}</td>{single}{_gained(board, one.gain, one.gain_ci)}"
            f'<td class="text {esc(kind)}">{SOURCES.get(one.verdict, SOURCES["open"])}</td></tr>'
        )
    unit = f", {say.gain_unit}" if say.gain_unit else ""
    heads = ["source", f"{esc(say.unit)} with all", "without it", *["alone"] * alone]
    heads += [f"gain by it{unit}{BETWEEN}", "verdict"]
    return grid(f"{place}: {breakable(sources[0].strategy)}", heads, lines, "board told")


def _gained(board: Board, gain: float | None, ends: Interval | None) -> str:
    span = f"{board.say.change(ends[0])} to {board.say.change(ends[1])}" if ends else ""
    return f'<td>{board.say.change(gain)} <span class="range">{span}</span></td>'


def protocols(board: Board, told: Check | None) -> str:
    """Lay out what was found under other protocols."""
    if told is None:
        return ""
    say, lines = board.say, []
    for one in told.protocols:
        kind = one.verdict if one.verdict in VERDICTS else "unknown"
        turned = ' <span class="tag">turned</span>' if one.name in told.turned else ""
        lines.append(
            f'<tr><th scope="row">{esc(one.name)}{turned}</th>{_gained(board, one.gain, one.gain_ci)}'
            f'<td class="text {kind}">{VERDICTS[kind]}</td></tr>'
        )
    unit = f", {say.gain_unit}" if say.gain_unit else ""
    heads = ["protocol", f"gain{unit}{BETWEEN}", "verdict"]
    title = f"{breakable(told.strategy)} against {breakable(told.baseline)}"
    return f"<p>{esc(survives(told))}</p>{grid(title, heads, lines, 'board told')}"


def together(summary: Sequence[Mapping[str, Any]], board: Board) -> str:
    """Lay out what all targets together gain, for each number of labels."""
    text = ""
    for shots in dict.fromkeys(row["shots"] for row in summary):
        rows = [row for row in summary if row["shots"] == shots and row["delta_m"] is not None]
        lines, harms = [], any(row.get("harmed") for row in rows)
        for row in sorted(rows, key=lambda row: -row["delta_m"]):
            ends = row["delta_m_ci95"]
            span = f"{_percent(ends[0])} to {_percent(ends[1])}" if ends else ""
            value = f'<td>{_percent(row["delta_m"])} <span class="range">{span}</span></td>'
            value += f"<td>{listed(row.get('harmed') or ())}</td>" * harms
            lines.append(f'<tr><th scope="row">{breakable(row["strategy"])}</th>{value}</tr>')
        heads = ["strategy", f"mean relative gain, %{BETWEEN}", *["harms"] * harms]
        text += grid(f"With {board.amount(shots)}", heads, lines, "board")
    return text


def _percent(x: float) -> str:
    return f"{100 * x:+.1f}".replace("-", MINUS)


def pictures(board: Board, found: Sequence[Answer]) -> str:
    """Draw the gains for each number of labels; one alone is wide where the screen is."""
    sizes = {"wide": WIDE, "slim": NARROW} if len(found) == 1 else {"": NARROW}
    panels = "".join(
        f'<figure class="{kind}"><figcaption><b>{heading(each, board)}</b></figcaption>{picture}</figure>\n'
        for each in found
        for kind, width in sizes.items()
        if (picture := gains(board, each.shots, each.name, width=width))
    )
    if not panels:
        return ""
    there = {board.verdict(row) for row in board.rows if row.gain is not None}
    order: tuple[Verdict, ...] = ("gains", "equal", "open", "harms", "none")
    keys = "".join(f'<li class="{told}">{verdict(board, told)}</li>' for told in order if told in there)
    alone = " alone" if len(found) == 1 else ""
    return f'<ul class="legend">{keys}</ul><div class="panels{alone}">{panels}</div>'


def lines(board: Board, found: Sequence[Answer]) -> str:
    """Draw the scores against the number of labels."""
    line = by_shots(board, [each.name for each in found if each.row])
    return f"<figure>{line}</figure>" if line else ""
