"""What the directory of a comparison keeps, so that it can be gone on with: its file and its command."""

from __future__ import annotations

import json
import tomllib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..comparison import Result, cells
from ..engine import Heartbeat, to_toml
from ..errors import wrong
from ..records import NAME, file_hash, read_record, seal, sha256, understood
from .asked import load_asked
from .problem_file import ProblemFile
from .world_file import WorldFile

FILE, COMMAND = "problem.toml", "command.json"


@dataclass(frozen=True, eq=False)
class Kept:
    """Hold what a comparison was begun with.

    Args:
        file: its problem, with the changes of the command in it.
        words: of the command, after the program's name.
        workers: processes.
        finished: whether no trial is missing, and all files are as they were written.
    """

    file: ProblemFile | WorldFile
    words: list[str]
    workers: int
    finished: bool


def kept_files(file: ProblemFile | WorldFile, words: Sequence[str], workers: int) -> dict[str, str]:
    """Write the file and the command, for ``compare(keep=)``."""
    text = to_toml(file.complete())
    said = {"words": list(words), "workers": workers, "problem": sha256(text.encode()), NAME: COMMAND}
    return {FILE: text, COMMAND: json.dumps(seal(said))}


def recall(directory: Path) -> Kept:
    """Read the file and the command from a comparison's directory.

    Raises:
        ValueError: if the comparison was begun in Python, or by a release that kept no command, or one of
            the two files is damaged.
        FileExistsError: if another process is at work in the directory.
    """
    heart = Heartbeat(directory)
    heart.check_free()
    if not ((directory / FILE).is_file() and (directory / COMMAND).is_file()):
        hint = "call `hs.compare` again with the same problem and `out`, or give the command of its report"
        found = "a comparison that was begun in Python, or by a release that kept no command"
        raise wrong(f"`{directory}`", expected=f"with {FILE} and {COMMAND}", found=found, hint=hint)
    said = _said(directory)
    done = heart.read().state == "done" and _whole(directory)
    return Kept(load_asked(directory / FILE), said["words"], said["workers"], done)


def settings(directory: Path) -> dict[str, Any]:
    """Read the file of a comparison; ``ValueError`` where it is altered."""
    _said(directory)
    return tomllib.loads((directory / FILE).read_text(encoding="utf-8"))


def _said(directory: Path) -> dict[str, Any]:
    """Read the command, once it is seen that the file is the one that it was given."""
    hint = "give the command of its report"
    said = read_record(directory / COMMAND, hint=hint)
    with understood(directory / COMMAND, hint=hint):
        mark, _, _ = said["problem"], said["words"], said["workers"]
    if file_hash(directory / FILE) != mark:
        raise wrong(f"`{directory / FILE}`", expected="as it was written", found="altered", hint=hint)
    return said


def _whole(directory: Path) -> bool:
    """Tell whether a comparison has all its trials and files; warn of files that it has no more."""
    try:
        details = Result.load(directory).details
    except (OSError, ValueError) as error:
        warnings.warn(str(error), UserWarning, stacklevel=4)
        return False
    if details.get("partial"):
        return False
    if bad := cells.unwhole(directory, details.get("files", {})):
        more = f", and {len(bad) - 3} more" if len(bad) > 3 else ""
        told = ", ".join(f"`{directory / name}`" for name in bad[:3])
        warnings.warn(f"missing or altered, and made again: {told}{more}", UserWarning, stacklevel=4)
    return not bad
