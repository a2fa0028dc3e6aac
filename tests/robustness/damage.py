"""Files that are damaged, and what the commands then say of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from .ground import call, came_to, make, renewed

WAYS = ("flipped", "cut", "emptied", "swapped", "deleted")
LEFT_ALONE = (".lock", "report.html")  # nobody reads what is in them


def files(place: Path) -> list[Path]:
    """List the files that may be damaged, by their path within a directory."""
    inside = sorted(p.relative_to(place) for p in place.rglob("*") if p.is_file())
    return [p for p in inside if p.name not in LEFT_ALONE and p.suffix != ".lock"]


def spoil(path: Path, way: str, other: Path, rng: random.Random) -> None:
    """Damage a file; ``other`` is what it changes places with."""
    data = bytearray(path.read_bytes())
    if way == "deleted":
        path.unlink()
    elif way == "swapped":
        path.write_bytes(other.read_bytes())
        other.write_bytes(data)
    elif way == "emptied" or not data:
        path.write_bytes(b"")
    elif way == "cut":
        path.write_bytes(data[: rng.randrange(len(data))])
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)


def cases(place: Path, rng: random.Random) -> Iterator[tuple[Path, str, Path]]:
    """List every file, every way to damage it, and what it changes places with: a file of its own kind."""
    there = files(place)
    for file in there:
        alike = [f for f in there if f.suffix == file.suffix and f != file]
        for way in WAYS:
            if way != "swapped" or alike:
                yield file, way, rng.choice(alike or there)


def faults(said: str) -> list[str]:
    """List what no command may ever say."""
    return [word for word in ("Traceback", "internal error") if word in said]


def tried(
    kind: str, pristine: Path, place: Path, case: tuple[Path, str, Path], whole: object, rng: random.Random
) -> str:
    """Damage a file of a directory, use it, and say what was wrong with that, or ""."""
    file, way, other = case
    renewed(pristine, place)
    spoil(place / file, way, place / other, rng)
    names = {file.name, other.name} if way == "swapped" else {file.name}
    shown = call("runs", "show", place, "--root", place.parent)
    again = call("resume", place)
    for status, said in (shown, again):
        if faults(said) or status not in (0, 2):
            return f"{file} {way}: {said[-500:]}"
    if shown[0] == 2 and not _names(shown[1], names):
        return f"{file} {way}: `runs show` names no file: {shown[1][-300:]}"
    if again[0] == 0:
        try:
            came = came_to(kind, place)
        except OSError as error:
            return f"{file} {way}: not made again: {error}"
        return "" if came == whole else f"{file} {way}: silently another result"
    if not _names(again[1], names):
        return f"{file} {way}: names no file: {again[1][-300:]}"
    status, said = make(kind, place)  # the command that made it tells as much, or makes it again
    if faults(said) or status not in (0, 2):
        return f"{file} {way}: {said[-500:]}"
    if status == 0 and came_to(kind, place) != whole:
        return f"{file} {way}: silently another result by the command that made it"
    if status == 2 and not _names(said, names):
        return f"{file} {way}: the command that made it names no file: {said[-300:]}"
    return ""


def _names(said: str, names: set[str]) -> bool:
    return any(name in said for name in names)


def tried_model(
    pristine: Path, place: Path, case: tuple[Path, str, Path], whole: str, rng: random.Random
) -> str:
    """Damage a file of a model, ask it, and say what was wrong with that, or ""."""
    file, way, other = case
    renewed(pristine, place)
    spoil(place / file, way, place / other, rng)
    out = place.parent / "answers.csv"
    out.unlink(missing_ok=True)
    status, said = call("predict", place, "csv:new.csv#label", "-o", out)
    if faults(said) or status not in (0, 2):
        return f"{file} {way}: {said[-500:]}"
    if status == 2:
        named = _names(said, {file.name, other.name})
        return "" if named else f"{file} {way}: names no file: {said[-300:]}"
    return "" if out.read_text() == whole else f"{file} {way}: silently other answers"
