"""What the directory of a comparison keeps, so that it can be gone on with: its file and its command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..comparison import Result
from ..engine import Heartbeat, to_toml
from ..errors import wrong
from .problem_file import ProblemFile, load_problem

FILE, COMMAND = "problem.toml", "command.json"


@dataclass(frozen=True, eq=False)
class Kept:
    """Hold what a comparison was begun with.

    Args:
        file: its problem, with the changes of the command in it.
        words: of the command, after the program's name.
        workers: processes.
        finished: whether no trial is missing.
    """

    file: ProblemFile
    words: list[str]
    workers: int
    finished: bool


def kept_files(file: ProblemFile, words: Sequence[str], workers: int) -> dict[str, str]:
    """Write the file and the command, for ``compare(keep=)``."""
    return {FILE: to_toml(file.complete()), COMMAND: json.dumps({"words": list(words), "workers": workers})}


def recall(directory: Path) -> Kept:
    """Read the file and the command from a comparison's directory.

    Raises:
        ValueError: if the comparison was begun in Python, or by a release that kept no command.
        FileExistsError: if another process is at work in the directory.
    """
    heart = Heartbeat(directory)
    heart.check_free()
    if not ((directory / FILE).is_file() and (directory / COMMAND).is_file()):
        hint = "call `hs.compare` again with the same problem and `out`, or give the command of its report"
        found = "a comparison that was begun in Python, or by a release that kept no command"
        raise wrong(f"`{directory}`", expected=f"with {FILE} and {COMMAND}", found=found, hint=hint)
    said = json.loads((directory / COMMAND).read_text())
    done = heart.read().state == "done" and not Result.load(directory).details.get("partial")
    return Kept(load_problem(directory / FILE), said["words"], said["workers"], done)
