"""The directory of a comparison, and what says that it is this very one: ``comparison.json``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..atomic import is_new, writing
from ..engine import Heartbeat
from ..engine.environment import now
from ..errors import wrong
from ..records import MARK as HASH
from ..records import read_record, sha256, write_record
from ..version import __version__
from . import cells
from .plan import Plan
from .question import Question

MARK = "comparison.json"


def opened(plan: Plan, heart: Heartbeat, threads: int) -> Plan:
    """Make the directory, or check that it holds this very comparison, and keep it for this process.

    Raises:
        ValueError: if it holds something else; of another comparison it is said in what it differs.
        FileExistsError: if another process is at work in it.
        OSError: if it cannot be written.
    """
    _check_mine(plan)
    with writing(plan.directory):
        plan.directory.mkdir(parents=True, exist_ok=True)
    with heart.claimed():
        _check_mine(plan)
        mine = identity(plan.problem, threads)
        plan = replace(plan, fingerprint=fingerprint(mine))
        options = {
            name: [dict(one) for one in strategy.options] for name, strategy in plan.strategies.items()
        }
        options = json.loads(json.dumps(options))
        there = _read(plan)
        if there and there.get("fingerprint") != plan.fingerprint:
            raise _another(plan, there, mine)
        begun = there.get("options", {})
        _check_options(plan.directory, begun, options)
        facts = mine | {"fingerprint": plan.fingerprint, "began": there.get("began", now())}
        write_record(plan.directory / MARK, facts | {"options": begun | options})
        for sort in (*cells.SORTS, "outputs", "models"):
            (plan.directory / sort).mkdir(exist_ok=True)
    return plan


def identity(problem: Question, threads: int) -> dict[str, Any]:
    """Say what makes a comparison this very one."""
    return {"inputs": dict(problem.hashes()), "headstart": __version__, "threads": threads}


def fingerprint(mine: Mapping[str, Any]) -> str:
    """Hash what makes a comparison this very one."""
    return sha256(json.dumps(mine, sort_keys=True).encode())


def _check_mine(plan: Plan) -> None:
    """Raise ``ValueError`` where the directory holds anything but a comparison."""
    if not is_new(plan.directory) and not (plan.directory / MARK).is_file():
        found = f"files in it, and no {MARK}" if plan.directory.is_dir() else "a file"
        raise wrong(
            f"`out` {plan.directory}", expected="an empty directory", found=found, hint="pass another one"
        )


def _read(plan: Plan) -> dict[str, Any]:
    """Read what the directory says; where that is damaged, ask its cells which comparison they are of."""
    path = plan.directory / MARK
    if not path.exists():
        return {}
    try:
        return read_record(path)
    except ValueError as error:
        if (old := _unsealed(path)) is not None:
            return old
        others = cells.others(plan)
        if others:
            raise wrong(
                f"`{path}`", expected="whole", found=f"{error}, and cells of another comparison",
                hint="pass another directory",
            ) from None  # fmt: skip
        warnings.warn(f"{error}; it is written anew", UserWarning, stacklevel=4)
        return {}


def _unsealed(path: Path) -> dict[str, Any] | None:
    """Read what a release before 0.2 wrote, which has no hash."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "fingerprint" in found and HASH not in found else None


def _another(plan: Plan, there: Mapping[str, Any], mine: Mapping[str, Any]) -> Exception:
    """Say in what another comparison differs from this one."""
    before, now = there.get("inputs", {}), mine["inputs"]
    differ = [name for name in before | now if before.get(name) != now.get(name)] if before else []
    if there.get("threads", 1) != mine["threads"]:
        differ.append("threads")
    found = "one of other data or settings" + f" ({', '.join(differ)})" * bool(differ)
    version = there.get("headstart", "0.1.0")
    if version != __version__:
        found += f", by headstart {version}"
    if "began" in there:
        found += f", begun {there['began']}"
    expected = "empty, or the directory of this very comparison"
    return wrong(f"`out` {plan.directory}", expected=expected, found=found, hint="pass another directory")


def _check_options(directory: Path, begun: Mapping[str, object], options: Mapping[str, object]) -> None:
    """Refuse a name whose cells in the directory are of other settings than it has now."""
    for name in options.keys() & begun.keys():
        if options[name] != begun[name]:
            raise wrong(
                f"strategy {name!r}",
                expected=f"of the settings that it was begun with in {directory}",
                found=options[name],
                hint="give it another name, or pass another directory",
            )
