"""Options that several commands share, and what to say to a user who interrupts one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import clean

if TYPE_CHECKING:
    from ..engine import Estimate

Problem = Annotated[
    Path, typer.Argument(metavar="PROBLEM.toml", help="The target, sources and budget.", show_default=False)
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Directory for what comes out.", show_default=False)
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes.", show_default=False)]
Device = Annotated[
    str | None,
    typer.Option(help='"auto", "cpu", "cuda", "cuda:1", "mps".', show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the file, e.g. target.shots=[1,5].",
        show_default=False,
    ),
]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Directory of a saved model.", show_default=False)
]
Data = Annotated[
    str,
    typer.Argument(metavar="DATA", help='A data reference, e.g. "csv:new.csv#label".', show_default=False),
]
SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Leave out images that do not decode.")]

AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Let a backbone python:MODULE:FUNCTION of the file run.")
]


def say(text: object, *, err: bool = False) -> None:
    """Print text, in which names out of files may stand, without what steers a terminal."""
    typer.echo(clean(text), err=err)


@contextmanager
def resumable(*words: str | Path) -> Iterator[None]:
    """Tell a user who presses Ctrl-C, or whose work a system ends, how to go on; the exit status is 130."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted; go on with: {shlex.join(['headstart', *map(str, words)])}", err=True)
        raise typer.Exit(130) from None


def columns(rows: list[list[str]]) -> str:
    """Lay rows of words out in columns.

    Example:
        >>> print(columns([["id", "state"], ["first", "done"]]))
        id     state
        first  done
    """
    rows = [[clean(word).replace("\n", " ") for word in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return "\n".join(
        "  ".join(f"{word:{w}}" for word, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def estimates(scores: Mapping[str, Estimate], rows: str) -> str:
    """Lay metrics and their intervals out, one a line."""
    lines = [[name, str(e), f"{e.n} {rows}"] for name, e in scores.items()]
    return columns([["metric", "value [95 % interval]", ""], *lines])
