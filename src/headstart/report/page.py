"""The comparison as one HTML file that opens from disk and asks nothing from the network."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..atomic import write_atomic
from ..errors import wrong
from .answer import Answer, answer
from .board import Board, Row, about, clean, number, read, seconds, sentence, targets
from .figures import by_shots, curve, gains, line_style, loss_names
from .words import choices

VERDICTS = {
    "gains": "● gains",
    "harms": "✕ did harm",
    "open": "○ open",
    "unknown": "no interval",
    "baseline": "baseline",
}
CLASSES = 25  # largest confusion matrix that is shown whole
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def esc(text: object) -> str:
    """Make any value safe as HTML text or as an attribute.

    Example:
        >>> esc('<script>"')
        '&lt;script&gt;&quot;'
    """
    return html.escape(clean(text))


def _breakable(name: object) -> str:
    """Let a long name break after the signs that join its parts."""
    return esc(name).replace("+", "+<wbr>").replace("_", "_<wbr>")


def _section(name: str, title: str, body: str, lead: str = "") -> str:
    if not body:
        return ""
    lead = f'<p class="lead">{lead}</p>\n' if lead else ""
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{title}</h2>\n'
        f"{lead}{body}\n</section>\n"
    )


def _table(caption: str, heads: Sequence[str], rows: Iterable[str], style: str = "") -> str:
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<h3>{caption}</h3>\n<div class="scroll" tabindex="0" role="region" aria-label="{caption}">'
        f'<table class="{style}" aria-label="{caption}"><thead><tr>{cells}</tr></thead>\n<tbody>'
        + "\n".join(rows)
        + "</tbody></table></div>\n"
    )


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts if value)
    return f'<dl class="facts">{rows}</dl>' if rows else ""


def _names(values: Sequence[object], most: int = 12) -> str:
    named = ", ".join(esc(value) for value in values[:most])
    return named + (f" and {len(values) - most} more" if len(values) > most else "")


def _header(boards: Sequence[Board], details: Mapping[str, Any]) -> str:
    facts = [("Target", _target(board, about(details, board.task))) for board in boards]
    sources = details.get("sources") or []
    source = "; ".join(
        esc(s.get("name", "?"))
        + (f", {esc(s['rows'])} rows" if s.get("rows") is not None else "")
        + (f", {_size(s['classes'])} classes" if s.get("classes") else "")
        for s in sources
    )
    backbone = esc(details.get("backbone") or "")
    if details.get("pretrained"):
        backbone += f"{'; ' if backbone else ''}pretrained: {esc(details['pretrained'])}"
    facts += [("Sources", source), ("Backbone", backbone)]
    scored = dict.fromkeys(f"{esc(b.metric)}, {'higher' if b.higher else 'lower'} is better" for b in boards)
    return _facts([*facts, ("Scored by", "; ".join(scored))])


def _target(board: Board, target: Mapping[str, Any]) -> str:
    rows = [f"{target[key]} {word} rows" for key, word in _PARTS if target.get(key) is not None]
    classes = target.get("classes") or []
    about_it = [esc(target.get("name") or board.task), ", ".join(esc(row) for row in rows)]
    if classes:
        about_it.append(f"{len(classes)} classes ({_names(classes)})")
    return "; ".join(filter(None, about_it))


_PARTS = (("train_rows", "training"), ("test_rows", "test"))


def _size(classes: object) -> object:
    return len(classes) if isinstance(classes, Sequence) and not isinstance(classes, str) else esc(classes)


def _answers(board: Board, answers: Sequence[Answer]) -> str:
    cards = "".join(
        f'<article class="answer{" pays" if found.pays else ""}"><h3>{found.heading}</h3>'
        f'<p class="name">{esc(found.headline)}</p>'
        + "".join(f"<p>{esc(said)}</p>" for said in found.sentences)
        + (
            f"<details><summary>How it was chosen</summary><p>{esc(found.reason)}</p></details>"
            * bool(found.reason)
        )
        + "</article>\n"
        for found in answers
    )
    kept = [found for found in answers if found.row and found.row.strategy == board.recommended]
    overall = ""
    if len(board.shots) > 1 and board.recommended is not None:
        learned = f", learned from {board.amount(kept[-1].shots)}" if kept else ""
        most = ", the most that were compared" if kept and kept[-1] is answers[-1] else ""
        overall = f'<p class="overall">Recommended model: {esc(board.recommended)}{learned}{most}.</p>'
    return f'<div class="answers">{cards}</div>\n{overall}'


def _notes(board: Board, choices: Sequence[object]) -> str:
    """List what is to be said beside the choices: trials that are missing or failed."""
    notes = "".join(f"<li>{esc(note)}</li>" for note in board.reasons[len(choices) :])
    return f'<ul class="reasons">{notes}</ul>' if notes else ""


def _together(summary: Sequence[Mapping[str, Any]], board: Board) -> str:
    """Lay out what all targets together gain, for each number of labels."""
    text = ""
    for shots in dict.fromkeys(row["shots"] for row in summary):
        rows = [row for row in summary if row["shots"] == shots and row["delta_m"] is not None]
        lines = []
        for row in sorted(rows, key=lambda row: -row["delta_m"]):
            ends = row["delta_m_ci95"]
            span = f"{100 * ends[0]:+.1f} to {100 * ends[1]:+.1f}" if ends else ""
            value = f'<td>{100 * row["delta_m"]:+.1f} <span class="range">{span}</span></td>'
            lines.append(f'<tr><th scope="row">{_breakable(row["strategy"])}</th>{value}</tr>')
        between = ' <span class="range">95 % interval</span>'
        heads = ["strategy", f"mean relative gain, %{between}"]
        text += _table(f"With {board.amount(shots)}", heads, lines, "board ranks")
    return text


def _board_row(board: Board, row: Row, chosen: str | None) -> str:
    def cell(x: float | None, ends: tuple[float, float] | None, signed: bool) -> str:
        low, high = (board.value(end, signed=signed) for end in ends or (None, None))
        span = f"{low} to {high}" if ends else ""
        return f'<td>{board.value(x, signed=signed)} <span class="range">{span}</span></td>'

    verdict = board.verdict(row)
    mark = ' class="chosen"' if row.strategy == chosen else ""
    return (
        f'<tr{mark}><th scope="row">{_breakable(row.strategy)}</th>{cell(row.mean, row.ci, False)}'
        f"{cell(row.gain, row.gain_ci, True)}"
        f'<td class="text {verdict}">{VERDICTS[verdict]}</td><td>{len(row.seeds)}</td></tr>'
    )


def _leaderboard(board: Board, answers: Sequence[Answer]) -> str:
    between = ' <span class="range">95 % interval</span>'
    gained = "gain, points" if board.percent else "gain"
    heads = ["strategy", esc(board.unit) + between, gained + between, "verdict", "seeds"]
    return "".join(
        _table(
            found.heading,
            heads,
            [
                _board_row(board, row, found.row.strategy if found.row else None)
                for row in board.at(found.shots)
            ],
            "board ranks",
        )
        for found in answers
    )


def _gains(board: Board, answers: Sequence[Answer]) -> str:
    panels = "".join(
        f"<figure><figcaption><b>{found.heading}</b></figcaption>{picture}</figure>\n"
        for found in answers
        if (picture := gains(board, found.shots, found.row.strategy if found.row else None))
    )
    if not panels:
        return ""
    keys = "".join(
        f'<li class="{verdict}">{VERDICTS[verdict]}: {text}</li>'
        for verdict, text in (
            ("gains", f"whole interval {'above' if board.higher else 'below'} zero"),
            ("open", "interval holds zero"),
            ("harms", "whole interval on the wrong side"),
        )
    )
    return f'<ul class="legend">{keys}</ul><div class="panels">{panels}</div>'


def _curves(curves: Mapping[str, Any]) -> str:
    order = loss_names(curves)
    pictures = [
        (name, found, curve(clean(name), found.get("losses") or {}, order)) for name, found in curves.items()
    ]
    panels = "".join(
        f"<figure><figcaption><b>{_breakable(name)}</b>{_trial(found)}</figcaption>{picture}</figure>\n"
        for name, found, picture in pictures
        if picture
    )
    return f'{_loss_legend(order)}<div class="small">{panels}</div>' if panels else ""


def _trial(found: Mapping[str, Any]) -> str:
    parts = [
        f"{word} {esc(found[key])}" for key, word in (("shots", "shots"), ("seed", "seed")) if key in found
    ]
    return f" {', '.join(parts)}" if parts else ""


def _loss_legend(order: Sequence[str]) -> str:
    from .figures import PALETTE

    dashes = {"-": "", "--": "7 4", ":": "2 4", "-.": "7 4 2 4"}
    items = ""
    for place, name in enumerate(order):
        color, dash = line_style(place)
        items += (
            '<li><svg viewBox="0 0 30 12" aria-hidden="true"><path d="M1 6H29" fill="none" stroke-width="3" '
            f'style="stroke: var({PALETTE[color]})" stroke-dasharray="{dashes[dash]}"/></svg>{esc(name)}</li>'
        )
    return f'<ul class="legend">{items}</ul>'


def _confusion(board: Board, confusion: Mapping[str, Any]) -> str:
    classes = [esc(name) for name in confusion.get("classes") or []]
    matrix = [[number(cell) or 0.0 for cell in row] for row in confusion.get("matrix") or []]
    if not classes or len(matrix) != len(classes) or any(len(row) != len(classes) for row in matrix):
        return ""
    of = [esc(confusion[key]) for key in ("strategy",) if confusion.get(key)]
    if "shots" in confusion:
        shots = number(confusion["shots"])
        of.append(board.amount(None if shots is None else int(shots)))
    caption = "True class by row, predicted class by column" + (f": {', '.join(of)}" if of else "")
    whole = ""
    if len(classes) <= CLASSES:
        rows = []
        for i, line in enumerate(matrix):
            total = sum(line) or 1.0
            cells = "".join(
                f"<td{' class=' + chr(34) + 'right' + chr(34) if i == j else ''} "
                f'style="--share: {cell / total:.3f}">{cell:g}</td>'
                for j, cell in enumerate(line)
            )
            rows.append(f'<tr><th scope="row">{classes[i]}</th>{cells}</tr>')
        whole = _table(caption, ["true \\ predicted", *classes], rows, "confusion")
    pairs = [
        (matrix[i][j], i, j)
        for i in range(len(classes))
        for j in range(len(classes))
        if i != j and matrix[i][j] > 0
    ]
    worst = sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[: 3 if whole else 15]
    if not worst:
        return whole + "<p>Every test row was right.</p>"
    items = [f"{classes[i]} taken for {classes[j]} ({cell:g} of {sum(matrix[i]):g})" for cell, i, j in worst]
    if whole:
        return f"{whole}<p>Most frequent mistakes: {'; '.join(items)}.</p>"
    return (
        f"<h3>{caption}: most frequent mistakes</h3><ol>{''.join(f'<li>{item}</li>' for item in items)}</ol>"
    )


def _settings(board: Board, settings: Mapping[str, Any]) -> str:
    """Show settings as ``name=value``; settings for each number of labels once where they are the same."""
    nested = {count: value for count, value in settings.items() if isinstance(value, Mapping)}
    if (
        nested
        and len(nested) == len(settings)
        and len({json.dumps(v, default=str) for v in nested.values()}) == 1
    ):
        return _settings(board, next(iter(nested.values())))
    text = ""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            amount = esc(board.short(None if name == "all" else name))
            text += f"<div>{amount}: {_settings(board, value) or 'no settings'}</div>"
        else:
            shown = esc(f"{value:g}") if isinstance(value, float) else esc(value)
            text += f'<code class="setting">{esc(name)}={shown}</code> '
    return text.rstrip()


def _recipes(board: Board, strategies: Mapping[str, Any], skipped: Mapping[str, Any]) -> str:
    cards = ""
    for name, recipe in strategies.items():
        facts = [(word, esc(recipe.get(key) or "")) for key, word in _RECIPE]
        facts += [
            ("Settings", _settings(board, recipe.get("settings") or {})),
            ("Chosen on", esc(recipe.get("chosen_on") or "")),
        ]
        summary = f"<p>{esc(sentence(clean(recipe['summary'])))}</p>" if recipe.get("summary") else ""
        cards += f"<article><h3>{_breakable(name)}</h3>{summary}{_facts(facts)}</article>\n"
    left = "".join(f"<li><b>{esc(name)}</b>: {esc(reason)}</li>" for name, reason in skipped.items())
    return (f'<div class="cards">{cards}</div>\n' if cards else "") + (
        f"<h3>Not run</h3><ul>{left}</ul>" if left else ""
    )


_RECIPE = (("reused", "Reused"), ("frozen", "Frozen"), ("trained", "Trained"))


def _cost(board: Board, budget: Mapping[str, Any]) -> str:
    known = [row for row in board.rows if row.seconds is not None or row.parameters is not None]
    words = []
    if number(budget.get("trials")) is not None:
        words.append(f"{esc(budget['trials'])} trials")
    if number(budget.get("seconds")) is not None:
        words.append(f"{seconds(number(budget['seconds']))} in all")
    if number(budget.get("workers")) is not None:
        words.append(f"{esc(budget['workers'])} worker{'' if budget['workers'] == 1 else 's'}")
    text = f"<p>{', '.join(words)}.</p>" if words else ""
    failed = budget.get("failed") or []
    if isinstance(failed, Sequence) and failed:
        named = [_failure(trial) if isinstance(trial, Mapping) else trial for trial in failed]
        text += f'<p class="warning">Failed trials: {_names(named)}</p>'
    if not known:
        return text
    longest = max((row.seconds or 0.0 for row in known), default=0.0) or 1.0
    lines = []
    for name in board.strategies:
        rows = {row.shots: row for row in known if row.strategy == name}
        if not rows:
            continue
        spent = "".join(
            f'<td class="bar" style="--share: {((rows[n].seconds if n in rows else 0) or 0) / longest:.3f}">'
            f"{seconds(rows[n].seconds if n in rows else None)}</td>"
            for n in board.shots
        )
        trained = max((row.parameters for row in rows.values() if row.parameters is not None), default=None)
        whole = "–" if trained is None else f"{trained:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
        lines.append(f'<tr><th scope="row">{_breakable(name)}</th>{spent}<td>{whole}</td></tr>')
    heads = [f"time, {board.short(n)}" for n in board.shots]
    table = _table(
        "Mean wall time of one trial, and how many parameters it trained",
        ["strategy", *heads, "trained parameters"],
        lines,
        "board",
    )
    return text + table


def _failure(trial: Mapping[str, Any]) -> str:
    """Say which trial failed, and why."""
    where = [f"{key} {trial[key]}" for key in ("shots", "seed") if trial.get(key) is not None]
    text = ", ".join([str(trial.get("strategy", "?")), *where])
    return f"{text} ({trial['error']})" if trial.get("error") else text


def _again(boards: Sequence[Board], details: Mapping[str, Any]) -> str:
    command = details.get("command")
    text = f"<pre><code>{esc(command)}</code></pre>" if command else ""
    facts = [("Seeds", _names(details.get("seeds") or [], 40))]
    facts += [(esc(name), esc(value)) for name, value in (details.get("environment") or {}).items()]
    text += _facts(facts)
    return text + "".join(_every_score(board, len(boards) > 1) for board in boards)


def _every_score(board: Board, named: bool) -> str:
    most = board.seeds
    if not most:
        return ""
    rows = [
        f'<tr><th scope="row">{esc(row.strategy)}</th><td>{"all" if row.shots is None else row.shots}</td>'
        + "".join(f"<td>{board.value(score)}</td>" for score in row.seeds)
        + "<td>–</td>" * (most - len(row.seeds))
        + "</tr>"
        for shots in board.shots
        for row in board.at(shots)
    ]
    table = _table(
        f"{esc(board.unit)} of each seed, in order",
        ["strategy", "labels", *(f"#{i + 1}" for i in range(most))],
        rows,
    )
    title = f"Every score{f' of {esc(board.task)}' * named} ({most} seed{'s' * (most != 1)})"
    return f"<details><summary>{title}</summary>{table}</details>"


def _answered(board: Board, chosen: Sequence[Mapping[str, Any]]) -> list[Answer]:
    return [answer(board, shots, chosen) for shots in board.shots]


def _lines(board: Board, answers: Sequence[Answer]) -> str:
    line = by_shots(board, [found.row.strategy for found in answers if found.row])
    return f"<figure>{line}</figure>" if line else ""


def fragment(result: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """Write the answer and the leaderboard as a piece of HTML, for a notebook.

    Args:
        result: the plain values of ``result.json``.
        details: the plain values of ``details.json``.

    Shape:
        returns HTML text without a page around it.

    Example:
        >>> row = {"strategy": "probe", "shots": 1, "mean": 0.79, "seeds": [0.79]}
        >>> "<td>79.0" in fragment({"task": "digits", "metric": "accuracy", "rows": [row]}, {})
        True
    """
    chosen, text = choices(result, details), ""
    for name in targets(result):
        board = read(result, details, name)
        answers = _answered(board, chosen)
        text += f"<h3>{esc(name)}</h3>\n{_answers(board, answers)}{_leaderboard(board, answers)}"
    return text


def page(result: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """Write a comparison as one self-contained HTML page.

    The answer in words for each number of labels comes first, then the leaderboard, the gains with their
    intervals, the learning curves, the mistakes, what each strategy reused and froze, what it cost, and
    the command that repeats it. The page loads nothing, runs no script, and the same input gives the
    same bytes.

    Args:
        result: the plain values of ``result.json``.
        details: the plain values of ``details.json``; every key may be missing, and so its part of the page.
    Shape:
        returns HTML text, about 200 kB for a dozen strategies with their learning curves.
    Raises:
        ValueError: if ``result`` has no metric or no rows.

    Example:
        >>> row = {"strategy": "probe", "shots": 1, "mean": 0.79, "seeds": [0.79]}
        >>> text = page({"task": "digits", "metric": "accuracy", "rows": [row]}, {"title": "Digits"})
        >>> "<h1>Digits</h1>" in text, "://" in text
        (True, False)

    References:
        Cumming & Finch (2005), Inference by eye: how to read 95 % intervals and paired differences,
        https://doi.org/10.1037/0003-066X.60.2.170
        Okabe & Ito (2008), Color universal design, https://jfly.uni-koeln.de/color/
    """
    boards = [read(result, details, name) for name in targets(result)]
    chosen = choices(result, details)
    board, found = boards[0], [_answered(each, chosen) for each in boards]

    def each(part: Callable[[Board, Sequence[Answer]], str]) -> str:
        """Write a part for every target, under its name where there are several."""
        bodies = [(b, part(b, a)) for b, a in zip(boards, found, strict=True)]
        if len(boards) == 1:
            return bodies[0][1]
        return "".join(f'<h3 class="target">{esc(b.task)}</h3>\n{body}' for b, body in bodies if body)

    several = len([row for row in board.at(board.shots[0]) if row.gain is not None]) if board.shots else 0
    lead = f"Best first. Gain is the paired difference to {esc(board.baseline)} over the same rows and seeds."
    caution = (
        f" Each interval stands alone: with {several} of them, about one in twenty misses by chance, "
        "and the best of many looks a little better than it is."
        if several > 1
        else ""
    )
    confusions = details.get("confusions") or [details.get("confusion") or {}]
    parts = [
        ("answer", "The answer", each(_answers) + _notes(board, chosen), ""),
        (
            "together",
            "All targets together",
            _together(result.get("summary") or (), board),
            f"The relative gain over {esc(board.baseline)}, which learns each target alone, averaged over "
            "the targets (Delta m).",
        ),
        ("board", "Leaderboard", each(_leaderboard), lead + caution),
        (
            "gain",
            "What reuse gained",
            each(_gains),
            "Bars are 95 % intervals of the paired gain, faint dots the single seeds. "
            "An arrow marks an interval that goes on.",
        ),
        (
            "labels",
            f"{esc(board.metric[:1].upper() + board.metric[1:])} by number of labels",
            each(_lines),
            "Bars are 95 % intervals. Up to six strategies are named; the others are the faint lines.",
        ),
        (
            "curves",
            "Training",
            _curves(details.get("curves") or {}),
            "Loss by training step, one trial each: faint as it was, strong as a running mean.",
        ),
        ("mistakes", "What is taken for what", "".join(_confusion(board, c) for c in confusions), ""),
        (
            "recipes",
            "What was reused, and how it was set",
            _recipes(board, details.get("strategies") or {}, details.get("skipped") or {}),
            "",
        ),
        ("cost", "Cost", each(lambda b, a: _cost(b, details.get("budget") or {})), ""),
        ("again", "To repeat this", _again(boards, details), ""),
    ]
    parts = [part for part in parts if part[2]]
    partial = (
        '<p class="warning">Not all trials are done: the figures below will still change.</p>'
        if details.get("partial")
        else ""
    )
    title = esc(details.get("title") or f"Which head start pays for {board.task}?")
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, *_ in parts)
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>\n{style}</style>\n'
        "</head>\n<body>\n"
        f"<header>\n<h1>{title}</h1>\n{_header(boards, details)}\n"
        f'<nav aria-label="Parts of this page">{links}</nav>\n{partial}</header>\n<main>\n'
        + "".join(_section(*part) for part in parts)
        + "</main>\n<footer><p>Made by headstart. It loads nothing: send it as one file.</p></footer>\n"
        "</body>\n</html>\n"
    )


def write(directory: str | Path) -> Path:
    """Write ``report.html`` from the ``result.json`` and ``details.json`` of a comparison's directory.

    The page is written to a temporary name, synced and renamed: a reader sees the old page or the new one.

    Args:
        directory: where ``headstart compare`` wrote; ``details.json`` may be missing.
    Shape:
        returns the path of the page.
    Raises:
        FileNotFoundError: if there is no ``result.json``.
        ValueError: if a file is not JSON, or has no metric or no rows.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as directory:
        ...     _ = Path(directory, "result.json").write_text('{"metric": "accuracy", "rows": []}')
        ...     write(directory).name
        'report.html'

    References:
        POSIX.1-2017, ``rename``, https://pubs.opengroup.org/onlinepubs/9699919799/functions/rename.html
    """
    directory = Path(directory)
    if not (directory / "result.json").is_file():
        raise wrong(
            f"`{directory}`",
            expected="the directory of a comparison",
            found="no result.json in it",
            hint="name the directory that `headstart compare --out` wrote",
            error=FileNotFoundError,
        )
    result = _load(directory / "result.json")
    details = _load(directory / "details.json") if (directory / "details.json").is_file() else {}
    text = page(result, details)
    target = directory / "report.html"
    write_atomic(target, text)
    return target


def _load(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise wrong(
            f"`{path}`", expected="JSON", found=str(error), hint="run the comparison again"
        ) from error
    if not isinstance(value, dict):
        raise wrong(f"`{path}`", expected="a JSON object", found=type(value).__name__)
    return value
