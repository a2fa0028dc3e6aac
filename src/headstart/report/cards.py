"""The answer for each number of labels, as cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import words
from .answer import Answer
from .board import Board
from .markup import breakable, esc
from .sizes import sentence

SHAPES = {"better": "▲", "not better": "■", "not known yet": "○", "nothing works": "✕", "no score": "–"}


def cards(board: Board, found: Sequence[Answer], details: Mapping[str, Any]) -> str:
    """Write a card for each number of labels, and what is recommended over all of them."""
    text = "".join(_card(board, each, details) for each in found)
    kept = [each for each in found if each.name and each.name == board.recommended]
    overall = ""
    if len(found) > 1 and board.recommended is not None:
        learned = f", learned from {board.amount(kept[-1].shots)}" if kept else ""
        most = ", the most that were compared" if kept and kept[-1] is found[-1] else ""
        overall = f'<p class="overall">Recommended model: {esc(board.recommended)}{learned}{most}.</p>'
    return f'<div class="answers">{text}</div>\n{overall}'


def _card(board: Board, found: Answer, details: Mapping[str, Any]) -> str:
    kind = found.outcome if found.outcome in SHAPES else "no score"
    harmed = words.harm(found, board)
    lines = [
        f'<p class="outcome"><b>{SHAPES[kind]} {words.OUTCOMES[kind]}</b></p>',
        f'<p class="name">{breakable(found.name) or "No recommendation"}</p>',
        _number(board, found),
        _line(words.confirmed(found, board)),
        _line(words.unless(found)),
        _line(words.reached(found, board)),
        _line(words.may_be_best(found)),
        _line(harmed, "harm" if found.harmed else ""),
        *(_line(said, "warning") for said in words.warnings(board, found, details)),
        _line(words.apart(found, board), "harm"),
        _line(words.single(found, board)),
        _line(words.made(found, board)),
        _line(words.following(found, board), "next"),
    ]
    if found.told:
        told = esc(sentence(found.told))
        lines.append(f"<details><summary>How it was chosen</summary><p>{told}</p></details>")
    body = "".join(filter(None, lines))
    style, title = kind.replace(" ", "-"), words.heading(found, board)
    return f'<article class="answer {style}"><h3>{title}</h3>{body}</article>\n'


def _number(board: Board, found: Answer) -> str:
    """Write the headline numbers: what is gained, how much of it is sure, and over what else."""
    number, sure = words.headline(found, board)
    over = f"{sure} {words.beside(board, words.against(found, board))}{words.where(found)}".strip()
    size, other = words.highest(found, board)
    lines = [(number, over)] * bool(number) + [(size, words.beside(board, other))] * bool(size)
    return "".join(f'<p class="number"><b>{esc(big)}</b> {esc(small)}</p>' for big, small in lines)


def _line(text: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f"<p{style}>{esc(text)}</p>" if text else ""
