"""Checkpoints: tensors as safetensors, the rest as JSON, each under its hash. Nothing is pickled.

A checkpoint is two files, ``PHASE-STEP.safetensors`` and ``PHASE-STEP.json``. The second is written
last and holds the hash of the first and its own, so that a half-written or altered one is refused.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from torch import Tensor

from ..atomic import write_atomic, writing
from ..errors import explain, wrong
from ..models import sealed
from ..records import read_record, sha256, write_record
from .journal import Journal


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Hold the state of training after ``step`` of ``steps`` steps of a phase.

    Args:
        phase: which call of ``fit``.
        step: steps done.
        steps: steps of the phase in all.
        start: length of ``metrics.jsonl`` in bytes when the phase began.
        offset: its length now.
        journal: the hash of what is in it.
        seconds: time spent in training.
        state: what ``state_dict()`` of the parts gave: tensors, numbers, text, lists, tuples, dicts.
    """

    phase: str
    step: int
    steps: int
    start: int
    offset: int
    journal: str
    seconds: float
    state: Any


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Say where checkpoints lie, and how often there is one.

    Args:
        directory: where.
        every_steps: steps between two; ``None`` goes by time alone.
        every_seconds: seconds between two.

    Raises:
        ValueError: if one of them is out of range.
    """

    directory: Path
    every_steps: int | None = None
    every_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.every_steps is not None and self.every_steps < 1:
            raise wrong("`every_steps`", expected="at least 1, or None", found=self.every_steps)
        if not self.every_seconds > 0:
            raise wrong("`every_seconds`", expected="above 0", found=self.every_seconds)

    def due(self, step: int) -> bool:
        """Tell whether one is due after ``step`` steps, whatever the time."""
        return self.every_steps is not None and step % self.every_steps == 0


def save(directory: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, all of it or nothing."""
    tensors: dict[str, Tensor] = {}
    facts = {name: getattr(checkpoint, name) for name in FACTS} | {"state": pack(checkpoint.state, tensors)}
    blob = sealed.pack(tensors)
    facts["tensors"] = sha256(blob)
    name = _name(checkpoint.phase, checkpoint.step)
    with writing(directory):
        directory.mkdir(exist_ok=True)
    write_atomic(directory / f"{name}.safetensors", blob)
    write_record(directory / f"{name}.json", facts)


FACTS = ("phase", "step", "steps", "start", "offset", "journal", "seconds")


def _name(phase: str, step: int) -> str:
    return f"{quote(phase, safe='+')}-{step:09d}"


def load(path: Path) -> Checkpoint:
    """Read the checkpoint whose JSON is at ``path``; ``ValueError`` where a hash does not match."""
    facts, file = read_record(path), path.with_suffix(".safetensors")
    tensors = sealed.unpack(file.read_bytes(), facts["tensors"])
    if tensors is None:
        raise ValueError(f"the sha256 of {file.name} does not match")
    return Checkpoint(**{n: facts[n] for n in FACTS}, state=unpack(facts["state"], tensors))


def latest(directory: Path, phase: str, journal: Journal) -> Checkpoint | None:
    """Read the newest whole checkpoint of a phase, with a warning for each newer one that is not.

    Args:
        directory: where checkpoints lie.
        phase: which call of ``fit``.
        journal: ``metrics.jsonl``; a checkpoint needs all that it counts on, as it was.
    """
    length = journal.length()
    for path in _paths(directory, phase):
        try:
            found = load(path)
            if found.offset > length:
                raise ValueError(f"{journal.path.name} has {length} bytes of its {found.offset}")
            if journal.digest(found.offset) != found.journal:
                raise ValueError(f"the losses in {journal.path.name} up to there are others")
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"checkpoint {path.name}"
            hint = "the one before it, if any, is used instead"
            warnings.warn(explain(what, expected="whole", found=str(error), hint=hint), stacklevel=2)
        else:
            return found
    return None


def _paths(directory: Path, phase: str) -> list[Path]:
    """List a phase's checkpoints, newest first."""
    prefix = quote(phase, safe="+")
    return sorted((p for p in directory.glob("*.json") if p.stem.rpartition("-")[0] == prefix), reverse=True)


def forget(directory: Path, phase: str, keep: list[int]) -> None:
    """Delete a phase's checkpoints but those after the given steps, and what a crash left."""
    kept = {_name(phase, step) for step in keep}
    for path in [
        *_paths(directory, phase),
        *directory.glob(f"{quote(phase, safe='+')}-?????????.safetensors"),
    ]:
        if path.stem not in kept:
            path.unlink(missing_ok=True)
    for path in directory.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def forget_beyond(directory: Path, offset: int) -> None:
    """Delete the checkpoints, of whatever phase, that count on more of ``metrics.jsonl`` than ``offset``."""
    for path in list(directory.glob("*.json")):
        try:
            beyond = read_record(path)["offset"] > offset
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if beyond:
            path.unlink(missing_ok=True)
            path.with_suffix(".safetensors").unlink(missing_ok=True)


def pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Turn a state into JSON, moving its tensors into ``tensors``.

    Lists, text, numbers and ``None`` stay; the rest is an object with one key that says what it is.

    Raises:
        TypeError: for anything that is not data.

    Example:
        >>> tensors = {}
        >>> packed = pack({0: (1, 2.5)}, tensors)
        >>> packed
        {'dict': [[0, {'tuple': [1, 2.5]}]]}
        >>> unpack(packed, tensors)
        {0: (1, 2.5)}
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[pack(k, tensors), pack(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        parts = [pack(v, tensors) for v in value]
        return {"tuple": parts} if isinstance(value, tuple) else parts
    try:
        json.dumps(value)
    except TypeError:
        raise wrong(
            "state of a checkpoint",
            expected="tensors, numbers, text, lists and dicts",
            found=type(value).__name__,
            error=TypeError,
        ) from None
    return value


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo ``pack``."""
    forms: dict[str, Callable[[Any], Any]] = {"tensor": tensors.__getitem__, "tuple": tuple, "dict": dict}

    def read(entry: dict[str, Any]) -> Any:
        ((form, content),) = entry.items()
        return forms[form](content)

    return json.loads(json.dumps(value), object_hook=read)
