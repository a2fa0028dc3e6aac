"""The comparison as one HTML file that opens from disk and asks nothing from the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..atomic import write_atomic
from ..errors import wrong
from ..records import read_json, understood
from . import parts
from .answer import Answer, answers
from .board import LABELS, Board, read, targets
from .cards import cards
from .findings import Check, check
from .markup import esc, section
from .ranks import apart, leaderboard, lines, pictures, protocols, together
from .words import notes

AGAIN = "run the comparison again"
FIXED = 0.05  # one-sided level of a fixed number of seeds
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def _notes(board: Board, details: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """List what is to be said beside the answers: trials that are missing or failed."""
    said = notes(details)
    if "answers" not in result:  # an earlier release wrote them after its reasons
        said = list(board.reasons[len(details.get("recommended_by_shots") or ()) :])
    items = "".join(f"<li>{esc(note)}</li>" for note in said)
    return f'<ul class="reasons">{items}</ul>' if items else ""


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
    text = ""
    for name in targets(result):
        board = read(result, details, name)
        found = answers(board, result, details)
        text += f"<h3>{esc(name)}</h3>\n{cards(board, found, details)}{leaderboard(board, found)}"
        text += apart(board, found)
    return text + protocols(*_checked(result, details))


def _checked(result: Mapping[str, Any], details: Mapping[str, Any]) -> tuple[Board, Check | None]:
    """Find the check under other protocols, with the target that it is of."""
    target = (details.get("check") or {}).get("target")
    return read(result, details, target if target in targets(result) else None), check(details)


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
    found = [answers(board, result, details) for board in boards]
    board = boards[0]

    def each(part: Callable[[Board, Sequence[Answer]], str]) -> str:
        """Write a part for every target, under its name where there are several."""
        bodies = [(b, part(b, a)) for b, a in zip(boards, found, strict=True)]
        if len(boards) == 1:
            return bodies[0][1]
        return "".join(f'<h3 class="target">{esc(b.task)}</h3>\n{body}' for b, body in bodies if body)

    confusions = details.get("confusions") or [details.get("confusion") or {}]
    said = each(lambda b, a: cards(b, a, details))
    name = board.say.name[:1].upper() + board.say.name[1:] if len(boards) == 1 else "Scores"
    bodies = [
        ("answer", "The answer", said + _notes(board, details, result), ""),
        (
            "together",
            "All targets together",
            together(result.get("summary") or (), board),
            "The relative gain over learning each target alone, averaged over the targets (Delta m).",
        ),
        ("board", "Leaderboard", each(leaderboard), _lead(board, result)),
        (
            "sources",
            "Which source",
            each(apart),
            "The ways in front, with all sources and without each: the runs named <code>without</code>. "
            "Intervals hold for all sources together.",
        ),
        (
            "gain",
            "What reuse gained",
            each(pictures),
            "Bars are 95 % intervals, faint dots the single seeds. An arrow marks an interval that goes on."
            if any(not b.say.ratio for b in boards)
            else "Bars are 95 % intervals. An arrow marks one that goes on.",
        ),
        (
            "labels",
            f"{esc(name)} by number of {'labels' if board.noun == LABELS else f'{board.noun}s'}",
            each(lines),
            "Bars are 95 % intervals. Up to six strategies are named, baselines dashed; others are faint.",
        ),
        (
            "work",
            "The policy at work",
            each(lambda b, _: parts.work(b, result.get("model") or {})),
            "One episode of what is handed over, from left to right, with the steps so far.",
        ),
        (
            "sides",
            "Both sides of the shift",
            each(lambda b, _: parts.sides(b, result)),
            "Some rows of the source by class, and hollow ones of the target, on the two directions along "
            "which they vary most. Where hollow ones lie among coloured ones, the source says what they are.",
        ),
        (
            "backbones",
            "Which backbone",
            parts.backbones(board, details.get("backbones") or [], details.get("promises") or []),
            "Each strategy runs on each backbone. What trains one further runs only where frozen features "
            "are not behind the best on held-out training rows; no test row is looked at for that.",
        ),
        (
            "layers",
            "Which layer",
            parts.layers(boards[0], details.get("layers") or []),
            "The backbone was cut behind the block at which left-out training rows are likeliest, or one "
            "nearer to the middle that they cannot tell from it.",
        ),
        (
            "shares",
            "Which sources the target is like",
            each(lambda b, _: parts.shares(b, details.get("shares") or [])),
            "Shares in the mixture of sources that is likest to the target's rows, the mean of the trials. "
            "By these each source counts as a whole.",
        ),
        (
            "dropped",
            "Which columns mean something else",
            each(lambda b, _: parts.dropped(b, details.get("dropped") or [])),
            "How these columns go with the label differs between source and target by more than chance, "
            "so the source's were left out. Of many columns some differ by chance.",
        ),
        (
            "pulls",
            "Which tasks pull together",
            parts.pulls(boards[0], details.get("pulls") or []),
            "Of weights that tasks share. Above 0, what a row's task learns helps the column's; below 0 it "
            "harms. The diagonal is a task by itself.",
        ),
        (
            "check",
            "Would it survive another protocol?",
            protocols(*_checked(result, details)),
            "The ways that may be the best and the baseline again, with one choice made otherwise each time.",
        ),
        (
            "curves",
            "Training",
            parts.curves(board, details.get("curves") or {}),
            "Loss by training step, one trial each: faint as it was, strong as a running mean.",
        ),
        ("mistakes", "What is taken for what", "".join(parts.confusion(board, c) for c in confusions), ""),
        (
            "recipes",
            "What was reused, and how it was set",
            parts.recipes(board, details.get("strategies") or {}, details.get("skipped") or {}),
            "",
        ),
        ("cost", "Cost", each(lambda b, _: parts.cost(b, details.get("budget") or {})), ""),
        ("again", "To repeat this", parts.again(boards, details), ""),
    ]
    bodies = [part for part in bodies if part[2]]
    partial = (
        '<p class="warning">Not all trials are done: the figures below will still change.</p>'
        if details.get("partial")
        else ""
    )
    asked = str(details.get("title") or f"Which head start pays for {board.task}?")
    title = esc(re.sub(r"\?\?+$", "?", asked))  # a target's own name may end in one
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, *_ in bodies)
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>\n{style}</style>\n'
        "</head>\n<body>\n"
        f"<header>\n<h1>{title}</h1>\n{parts.header(boards, details)}\n"
        f'<nav aria-label="Parts of this page">{links}</nav>\n{partial}</header>\n<main>\n'
        + "".join(section(*part) for part in bodies)
        + "</main>\n<footer><p>Made by headstart. It loads nothing: send it as one file.</p></footer>\n"
        "</body>\n</html>\n"
    )


def _lead(board: Board, result: Mapping[str, Any]) -> str:
    """Say what the gains of the leaderboard are, and how far they can be trusted."""
    if "answers" not in result:
        over = esc(board.baseline_names)
        return f"Best first. Gain is the paired difference to {over}; each interval stands alone."
    levels = {answer.get("level", FIXED) for answer in result["answers"] if answer.get("strategy")}
    most = "at most" if levels <= {FIXED} else "about"  # looks after more seeds share what they spend
    return (
        "Best first; ranges are 95 % intervals. Those of gains, and verdicts, hold for all ways "
        f"of reuse together: the chance that any gain is false is {most} 5 %, and that any harm is, too."
    )


def write(directory: str | Path) -> Path:
    """Write ``report.html`` from the ``result.json`` and ``details.json`` of a comparison's directory.

    The page is written to a temporary name, synced and renamed: a reader sees the old page or the new one.

    Args:
        directory: where ``headstart compare`` wrote; ``details.json`` may be missing, and ``check.json``.
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
    result = read_json(directory / "result.json", hint=AGAIN)
    beside = directory / "details.json"
    details = read_json(beside, hint=AGAIN) if beside.is_file() else {}
    if (directory / "check.json").is_file():
        details["check"] = read_json(directory / "check.json", hint=AGAIN)
    with understood(directory / "result.json", beside, hint=AGAIN):
        text = page(result, details)
    target = directory / "report.html"
    write_atomic(target, text)
    return target
