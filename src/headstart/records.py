"""JSON on the disk that says which file it is, under its own hash, so that what is read is what was written.

A record is an object of JSON that holds the name of its file under ``"file"`` and the hash of all the rest
under ``"sha256"``. One that is damaged, or lies under another name, is refused by the name of its file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .atomic import check_regular, write_atomic
from .errors import is_told, wrong

MARK, NAME = "sha256", "file"


def sha256(data: bytes) -> str:
    """Hash bytes."""
    return hashlib.sha256(data).hexdigest()


def file_hash(path: Path) -> str:
    """Hash the bytes of a file; ``OSError`` where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes(directory: Path) -> dict[str, str]:
    """Hash every file below a directory, by its path from there; none where there is no directory.

    What a process that was killed left half-written is passed over.
    """
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix != ".tmp")
    return {path.relative_to(directory).as_posix(): file_hash(path) for path in files}


def seal(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Add the hash of facts to them, in place of one that they have.

    Example:
        >>> sealed = seal({"steps": 3})
        >>> unseal(sealed)
        {'steps': 3}
        >>> unseal(sealed | {"steps": 4}) is None
        True
    """
    bare = _bare(facts)
    return bare | {MARK: _hash(bare, sort_keys=True)}


def unseal(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return facts without their hash; ``None`` if it is not theirs, however their file is laid out."""
    bare = _bare(facts)
    try:  # checkpoints of version 0.1 are hashed in the order in which they are written
        own = facts.get(MARK) in (_hash(bare, sort_keys=True), _hash(bare, sort_keys=False))
    except RecursionError:
        return None
    return bare if own else None


def write_record(
    path: Path, facts: Mapping[str, Any], *, indent: int | None = None, sync: bool = True
) -> None:
    """Write facts as a record, all of it or nothing.

    Args:
        path: the file.
        facts: JSON.
        indent: spaces of each level, for people to read.
        sync: whether to wait until it is on the disk.
    """
    plain = json.loads(json.dumps(facts))  # keys are text before they are sorted and hashed
    write_atomic(path, json.dumps(seal(plain | {NAME: path.name}), indent=indent), sync=sync)


def read_record(path: Path, *, hint: str = "") -> dict[str, Any]:
    """Read the facts of a record.

    Args:
        path: the file.
        hint: what to do where it is damaged.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is damaged, or was another file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     write_record(Path(directory) / "a.json", {"steps": 3})
        ...     read_record(Path(directory) / "a.json")
        {'steps': 3}
    """
    found = _object(path, hint)
    facts = unseal(found)
    if facts is None:
        told = "other values than its hash says" if MARK in found else "no hash in it"
        raise wrong(f"`{path}`", expected="as it was written", found=told, hint=hint)
    if facts.pop(NAME, None) != path.name:
        raise wrong(f"`{path}`", expected="as it was written", found="the content of another file", hint=hint)
    return facts


def read_json(path: Path, *, hint: str = "") -> dict[str, Any]:
    """Read a record, or an object of JSON that was written without a hash, as earlier releases did.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is damaged, was another file, or is no object.
    """
    found = _object(path, hint)
    return read_record(path, hint=hint) if MARK in found else found


@contextmanager
def understood(*paths: Path, hint: str = "") -> Iterator[None]:
    """Turn what goes wrong where JSON is followed, whole but written by who knows whom, into a named error.

    Args:
        paths: the files that are followed.
        hint: what to do about them.

    Example:
        >>> with understood(Path("a.json")):
        ...     {"steps": 3}["seed"]
        Traceback (most recent call last):
        ValueError: `a.json` should be what this release writes; found KeyError: 'seed'
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, RuntimeError, ValueError, OverflowError) as error:
        if is_told(error):
            raise
        what, found = " or ".join(f"`{path}`" for path in paths), f"{type(error).__name__}: {error}"
        raise wrong(what, expected="what this release writes", found=found, hint=hint) from error


def _object(path: Path, hint: str) -> dict[str, Any]:
    check_regular(path)
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        told = "nothing in it" if not path.stat().st_size else f"damage: {error}"
        raise wrong(f"`{path}`", expected="JSON", found=told, hint=hint) from None
    if not isinstance(found, dict):
        raise wrong(f"`{path}`", expected="an object of JSON", found=type(found).__name__, hint=hint)
    return found


def _bare(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != MARK}


def _hash(facts: Mapping[str, Any], *, sort_keys: bool) -> str:
    return sha256(json.dumps(facts, sort_keys=sort_keys).encode())
