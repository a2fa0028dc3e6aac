"""Checkpoints: tensors as safetensors, the rest as JSON, each under its hash. Nothing is pickled.

A checkpoint is two files, ``PHASE-STEP.safetensors`` and ``PHASE-STEP.json``. The second is written
last and holds the hash of the first and its own, so that a half-written or altered one is refused.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from torch import Tensor

from ..atomic import write_atomic, writing
from ..errors import explain, wrong
from ..models import sealed


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Hold the state of training after ``step`` of ``steps`` steps of a phase.

    Args:
        phase: which call of ``fit``.
        step: steps done.
        steps: steps of the phase in all.
        start: length of ``metrics.jsonl`` in bytes when the phase began.
        offset: its length now.
        seconds: time spent in training.
        state: what ``state_dict()`` of the parts gave: tensors, numbers, text, lists, tuples, dicts.
    """

    phase: str
    step: int
    steps: int
    start: int
    offset: int
    seconds: float
    state: Any


def save(directory: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, all of it or nothing."""
    tensors: dict[str, Tensor] = {}
    facts = {name: getattr(checkpoint, name) for name in FACTS} | {"state": pack(checkpoint.state, tensors)}
    blob = sealed.pack(tensors)
    facts["tensors"] = sealed.sha256(blob)
    name = _name(checkpoint.phase, checkpoint.step)
    with writing(directory):
        directory.mkdir(exist_ok=True)
    write_atomic(directory / f"{name}.safetensors", blob)
    write_atomic(directory / f"{name}.json", json.dumps(sealed.seal(facts), sort_keys=True))


FACTS = ("phase", "step", "steps", "start", "offset", "seconds")


def _name(phase: str, step: int) -> str:
    return f"{quote(phase, safe='+')}-{step:09d}"


def load(path: Path) -> Checkpoint:
    """Read the checkpoint whose JSON is at ``path``; ``ValueError`` where a hash does not match."""
    facts, file = _facts(path), path.with_suffix(".safetensors")
    tensors = sealed.unpack(file.read_bytes(), facts["tensors"])
    if tensors is None:
        raise ValueError(f"the sha256 of {file.name} does not match")
    return Checkpoint(**{n: facts[n] for n in FACTS}, state=unpack(facts["state"], tensors))


def _facts(path: Path) -> dict[str, Any]:
    written = json.loads(path.read_bytes())
    facts = sealed.unseal(written) if isinstance(written, dict) else None
    if facts is None:
        raise ValueError(f"the sha256 of {path.name} does not match")
    return facts


def latest(directory: Path, phase: str, length: int) -> Checkpoint | None:
    """Read the newest whole checkpoint of a phase, with a warning for each newer one that is not.

    Args:
        directory: where checkpoints lie.
        phase: which call of ``fit``.
        length: bytes that there are of ``metrics.jsonl``; a checkpoint needs all that it counts on.
    """
    for path in _paths(directory, phase):
        try:
            found = load(path)
            if found.offset > length:
                raise ValueError(f"metrics.jsonl has {length} bytes of its {found.offset}")
        except (OSError, ValueError, KeyError) as error:
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
            beyond = _facts(path)["offset"] > offset
        except (OSError, ValueError, KeyError):
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
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach()
        return {"tensor": name}
    if isinstance(value, list):
        return [pack(v, tensors) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [pack(v, tensors) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(k, tensors), pack(v, tensors)] for k, v in value.items()]}
    raise wrong(
        "state of a checkpoint",
        expected="tensors, numbers, text, lists and dicts",
        found=type(value).__name__,
        error=TypeError,
    )


def unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo ``pack``."""
    if isinstance(value, list):
        return [unpack(v, tensors) for v in value]
    if isinstance(value, dict):
        ((form, content),) = value.items()
        if form == "tensor":
            return tensors[content]
        if form == "tuple":
            return tuple(unpack(v, tensors) for v in content)
        return {unpack(k, tensors): unpack(v, tensors) for k, v in content}
    return value


def each_tensor(value: Any) -> Iterator[Tensor]:
    """Walk over the tensors of a state."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from each_tensor(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from each_tensor(part)
