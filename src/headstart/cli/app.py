"""The program: its commands, its exit statuses, and how errors and warnings are shown."""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from ..errors import clean, is_told
from ..memory import keep_memory
from . import comparisons, listing, models, runs
from .options import say

WRONG, INTERRUPTED = 2, 130
# An error of another type, or one that a lookup or a decoding gave by itself, is a fault within.
USER_ERRORS = (ValueError, LookupError, OSError, ImportError, ArithmeticError, NotImplementedError)

app = typer.Typer(
    help="Give every new task a head start: measure which way of reusing what you have is best for it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"headstart {version('headstart')}")
        raise typer.Exit


@app.callback()
def program(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Give every new task a head start: measure which way of reusing what you have is best for it."""


for command in (
    comparisons.demo, comparisons.compare, comparisons.check, comparisons.rank, comparisons.report,
    comparisons.weights,
    runs.fit, runs.resume,
    models.evaluate, models.predict, models.adapt, models.export, models.slim,
):  # fmt: skip
    app.command()(command)
app.command("list")(listing.show)
app.add_typer(runs.app, name="runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 2 wrong input or call, 130 interrupted.

    Args:
        arguments: the words after the program's name; those of the process by default.

    Example:
        >>> main(["list", "scratch"])
        2
    """
    if arguments is None:
        keep_memory()  # the process is the program's own
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _warn
        try:
            typer.main.get_command(app).main([w for w in words if w != "--debug"], prog_name="headstart")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0
        except KeyboardInterrupt:
            say("interrupted", err=True)
            return INTERRUPTED
        except Exception as error:
            if debug:
                traceback.print_exc()
            else:
                say(_told(error, words), err=True)
            return WRONG
    return 0


def _told(error: Exception, words: Sequence[str]) -> str:
    """Say what went wrong: what the user can mend, memory that ran out, or a fault within."""
    if _is_out_of_memory(error):
        hint = "give it fewer rows, smaller ones or a smaller net, or fewer `--workers`"
        return f"error: memory ran out: {_first_line(error)}; {hint}"
    unmeant = isinstance(error, LookupError | UnicodeError) and not is_told(error)
    if isinstance(error, USER_ERRORS) and not unmeant:
        return f"error: {spelled(_message(error), words)}"
    place = _keep(error, words)
    return (
        f"internal error: {type(error).__name__}: {_first_line(error)}; no fault of yours: details are "
        f"in {place}, please report it with them, or look at it by `--debug`"
    )


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error)
    allocator = "DefaultCPUAllocator" in text or "allocate memory" in text or "out of memory" in text
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError | OSError) and allocator)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["nothing more is known"])[0]


def _keep(error: Exception, words: Sequence[str]) -> str:
    """Write the details of a fault to a file, and name it."""
    import platform
    import shlex
    import tempfile

    from ..version import __version__

    about = f"headstart {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    text = f"{about}{shlex.join(['headstart', *words])}\n\n{''.join(traceback.format_exception(error))}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="headstart-", suffix=".txt", delete=False) as file:
            file.write(clean(text))
    except OSError:
        return "the traceback that `--debug` shows"
    return file.name


def _message(error: BaseException) -> str:
    """Give an error's text: a ``KeyError`` without Python's quotes, the system's errors in four parts."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        from ..errors import explain

        hint = "free some space, change its permissions or choose another place"
        return explain(f"`{error.filename}`", expected="usable", found=error.strerror, hint=hint)
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__


def spelled(text: str, words: Sequence[str]) -> str:
    """Spell the arguments of Python in a hint as the command does, or its file; leave out what neither has.

    Args:
        text: of an error, with arguments as in "pass `resize=8`".
        words: those after the program's name.

    Example:
        >>> spelled("remove it, or pass `skip_broken=True`", ["predict", "model", "images:new"])
        'remove it, or pass `--skip-broken`'
        >>> spelled("pass `resize=8`", ["compare", "problem.toml"])
        'pass `resize = 8` in the problem file'
        >>> spelled("lower `lr` or pass `clip=1.0`", ["fit", "run.toml"])
        'lower `lr`'
    """
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    command = next((commands[word] for word in words if word in commands), None)
    parameters = {p.name: p for p in command.params} if command else {}

    def spell(found: re.Match[str]) -> str:
        before, name, value = found.groups()
        if name in parameters:
            option = parameters[name]
            return f"{before}`{option.opts[0]}{'' if option.is_flag else f' {value}'}`"
        if {"problem", "run"} & parameters.keys() and name in _keys():
            return f"{before}`{name} = {_TOML.get(value, value)}`{' in the problem file' * bool(before)}"
        return "" if "or pass" in before else found[0]

    return re.sub(r"(,? or pass |pass |)`(\w+)=([^`]*)`(?: \(`--[\w-]+`\))?", spell, text)


def _keys() -> set[str]:
    """List the keys that a file has on data and on the backbone."""
    from ..problems.schema import Backbone, Target

    return Target.model_fields.keys() | Backbone.model_fields.keys()


_TOML = {"True": "true", "None": '"none"', "PATH": '"PATH"', "": "..."}


def _warn(
    message: Warning | str, category: type[Warning], filename: str, *rest: object, **more: object
) -> None:
    say(f"warning: {message}", err=True)
