"""The files of a comparison's cells: whole, of this very comparison, and each written by its own cell alone.

A cell's record holds the name of its file, the comparison that it is of, and the hashes of all other files
that the cell wrote. What is not as it was written counts as not there, is told by name, and is run again.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..records import file_hash, hashes, read_record, understood, write_record
from . import outputs
from .plan import Cell, Plan

SORTS = ("settings", "trials")  # folders of records
AGAIN = "the same command runs it again"
Record = dict[str, Any]


def write(plan: Plan, path: Path, facts: Mapping[str, Any]) -> None:
    """Write a cell's record, which ends it."""
    write_record(path, {"of": plan.fingerprint, **facts})


def read(path: Path) -> Record:
    """Read a cell's record; ``ValueError`` names one that was damaged since ``mend`` looked at it."""
    return read_record(path, hint=AGAIN)


def model(plan: Plan, name: str) -> Path:
    """Name the directory of a way's model, which the trial of the first seed with the most labels writes."""
    return plan.directory / "models" / name


def owns_model(plan: Plan, amount: int | None, seed: int) -> bool:
    """Tell whether the trial is the one that writes the model of its way."""
    return (amount, seed) == (plan.amounts[-1], plan.seeds[0])


def written(plan: Plan, cell: Cell, targets: Mapping[str, Any]) -> Record:
    """Hash what a trial wrote beside its record: answers, what is right, and its model if it owns one."""
    name, amount, seed = cell
    owned = owns_model(plan, amount, seed)
    return {
        "answers": file_hash(outputs.file(plan, cell)),
        "truth": {target: file_hash(outputs.truth_file(plan, target)) for target in targets},
        "model": hashes(model(plan, name)) if owned else {},
    }


def mend(plan: Plan) -> None:
    """Delete the cells that are not whole, or of another comparison, and warn of them by name."""
    bad = [*_truths(plan)]
    for sort in SORTS:
        for path in sorted((plan.directory / sort).glob("*.json")):
            if why := _wrong(plan, sort, path):
                bad.append(f"`{path}` ({why})")
                path.unlink()
    if bad:
        more = f", and {len(bad) - 3} more" if len(bad) > 3 else ""
        told = f"not as they were written, and run again: {', '.join(bad[:3])}{more}"
        warnings.warn(told, UserWarning, stacklevel=3)
    for way in _unowned(plan):
        plan.file("trials", way).unlink()


def _wrong(plan: Plan, sort: str, path: Path) -> str:
    """Say what is wrong with a cell, or ``""``."""
    try:
        facts = read_record(path)
        with understood(path):
            return _other(plan, sort, path, facts)
    except (OSError, ValueError) as error:
        return str(error).rpartition("found ")[2]


def _other(plan: Plan, sort: str, path: Path, facts: Record) -> str:
    """Say what a whole record does not have in common with what its cell would write, or ``""``."""
    if facts.get("of") != plan.fingerprint:
        return "of another comparison"
    strategy = plan.strategies.get(facts["strategy"])
    if strategy is not None and _json(facts["settings"]) not in map(_json, strategy.options):
        return "of other settings"
    if sort == "settings" or not facts["targets"]:
        return ""
    answers = plan.directory / "outputs" / path.with_suffix(".npz").name
    if not _is(answers, facts["written"]["answers"]):
        return f"`{answers}` is missing or altered"
    _truth(facts)
    return _wrong_model(plan, facts) if owns_model(plan, facts["shots"], facts["seed"]) else ""


def _wrong_model(plan: Plan, facts: Record) -> str:
    """Say what is wrong with the model of a trial, and delete it then; ``""`` where it wrote none."""
    place, then = model(plan, facts["strategy"]), facts["written"]["model"]
    now = hashes(place) if then else {}
    changed = [str(place / file) for file in then | now if then.get(file) != now.get(file)]
    if changed:
        shutil.rmtree(place, ignore_errors=True)
    return f"`{changed[0]}` is missing or altered" if changed else ""


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _truths(plan: Plan) -> Iterator[str]:
    """Delete what is right of the test rows where it is not as trials found it, and let one find it again."""
    marks: dict[str, dict[str, list[Path]]] = {}
    for path in sorted((plan.directory / "trials").glob("*.json")):
        try:
            facts = read_record(path)
            with understood(path):
                found = _truth(facts)
        except (OSError, ValueError):
            continue
        for target, mark in found.items():
            marks.setdefault(target, {}).setdefault(mark, []).append(path)
    for target, by_mark in marks.items():
        truth = outputs.truth_file(plan, target)
        if not any(_is(truth, mark) for mark in by_mark):
            truth.unlink(missing_ok=True)
            next(iter(by_mark.values()))[0].unlink(missing_ok=True)
            yield f"`{truth}`"


def _truth(facts: Record) -> dict[str, str]:
    """Give the hash of what is right of each target's test rows; fails where it is no text."""
    found = facts.get("written", {}).get("truth", {})
    return {str(target): mark + "" for target, mark in found.items()}


def _unowned(plan: Plan) -> Iterator[Cell]:
    """List the trials that are to write a model, and did not: another was the first seed, or the most."""
    amount, seed = plan.amounts[-1], plan.seeds[0]
    for name in plan.strategies:
        path = plan.file("trials", (name, amount, seed))
        if path.exists() and (facts := read(path))["targets"] and not facts["written"]["model"]:
            yield name, amount, seed


def _is(path: Path, mark: str) -> bool:
    try:
        return file_hash(path) == mark
    except OSError:
        return False


def others(plan: Plan) -> bool:
    """Tell whether the directory holds whole cells of another comparison."""
    for sort in SORTS:
        for path in (plan.directory / sort).glob("*.json"):
            try:
                if read_record(path).get("of") != plan.fingerprint:
                    return True
            except (OSError, ValueError):
                continue
    return False


def manifest(plan: Plan, more: Iterable[str]) -> dict[str, str]:
    """Hash the files of a comparison that is through, by their path in it; features are kept under theirs."""
    names = [*more, "comparison.json", "handed-over.json"]
    files = [plan.directory / name for name in names]
    files += [path for sort in (*SORTS, "outputs") for path in (plan.directory / sort).iterdir()]
    found = {f.relative_to(plan.directory).as_posix(): file_hash(f) for f in files if f.is_file()}
    for folder in ("models", "model"):
        found |= {f"{folder}/{name}": mark for name, mark in hashes(plan.directory / folder).items()}
    return found


def unwhole(directory: Path, files: Mapping[str, str]) -> list[str]:
    """List the files of a manifest that are missing or altered."""
    return [name for name, mark in files.items() if not _is(directory / name, mark)]
