"""The two files of a saved model: ``model.safetensors``, and ``model.json`` that describes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from torch import Tensor

from ..atomic import check_regular, current, write_together
from ..errors import wrong
from ..records import seal, sha256, understood, unseal
from . import sealed
from ._weights import is_spoilt

FORMAT = 2
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
AGAIN = "save the model again, or copy it again from where it is whole"
KEYS: dict[str, tuple[type, ...]] = {
    "sha256": (str,), "weights": (str,), "backbone": (dict, NoneType), "heads": (dict,), "kinds": (dict,),
    "frozen": (list,), "encoding": (dict, NoneType), "notes": (dict, NoneType),
}  # fmt: skip


def write(
    directory: Path, about: Mapping[str, Any], tensors: Mapping[str, Tensor], beside: Mapping[str, bytes]
) -> None:
    """Write both files and those that belong to them, or leave what was there as it was."""
    weights = sealed.pack(tensors)
    facts = seal({"format": FORMAT, "weights": sha256(weights), **about})
    text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    write_together(
        directory, {**beside, WEIGHTS: weights, DESCRIPTION: text.encode(errors="backslashreplace")}
    )


Fetch = Callable[[Mapping[str, Any]], Mapping[str, Tensor]]


def read(directory: Path, fetch: Fetch | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the description and the tensors, those among them that the model points to.

    Args:
        directory: that both files are in.
        fetch: gives the tensors that a description points to; without it such a model is refused.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if one is damaged or altered, comes from another format, or points to weights elsewhere.
    """
    about = _description(directory / DESCRIPTION)
    weights = _bytes(directory / WEIGHTS)
    tensors = sealed.unpack(weights, about["weights"])
    if tensors is None:
        found = f"{len(weights)} bytes with another sha256: truncated or altered"
        raise _altered(directory / WEIGHTS, about["weights"], found)
    if about.get("base") is not None:
        if fetch is None:
            hint = "load it with its base, and save it without"
            raise wrong(f'"{directory}"', expected="with all its weights", found="some elsewhere", hint=hint)
        with understood(directory / DESCRIPTION, hint=AGAIN):
            tensors |= fetch(about["base"])
    for name, tensor in tensors.items():
        if is_spoilt(tensor):
            what = f'`{name}` in "{directory / WEIGHTS}"'
            raise wrong(what, expected="numbers", found="NaN or infinity")
    _check_lengths(directory / DESCRIPTION, [about["backbone"], about.get("cut"), about["heads"]], tensors)
    return about, tensors


def _check_lengths(path: Path, about: Any, tensors: Mapping[str, Tensor]) -> None:
    """Raise ``ValueError`` where more layers, or larger ones, are described than the weights can be of."""
    longest = max(1000, len(tensors))
    largest = max(2**16, sum(tensor.numel() for tensor in tensors.values()))
    waiting = [about]
    while waiting:
        value = waiting.pop()
        inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        if len(inside) > longest or (isinstance(value, int) and abs(value) > largest):
            found = f"{len(inside)} values" if inside else value
            expected = f"of the sizes of its {len(tensors)} tensors"
            raise wrong(f'"{path}"', expected=expected, found=found, hint=AGAIN)
        waiting += inside


def _bytes(path: Path) -> bytes:
    try:
        check_regular(current(path))
        return current(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        expected = "a file that `hs.models.save` wrote"
        inside = sorted(
            found for depth in ("*", "*/*") for found in path.parent.glob(f"{depth}/{DESCRIPTION}")
        )
        hint = "models within: " + ", ".join(str(found.parent) for found in inside) if inside else ""
        raise wrong(
            f'"{path}"', expected=expected, found="nothing there", hint=hint, error=FileNotFoundError
        ) from None


def _description(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
        raise wrong(f'"{path}"', expected="JSON", found=str(error), hint=AGAIN) from None
    found = about.get("format") if isinstance(about, dict) else type(about).__name__
    if found != FORMAT:
        hint = "update headstart, or save the model again with this one"
        raise wrong(f'format of "{path}"', expected=str(FORMAT), found=found, hint=hint)
    if missing := sorted(KEYS.keys() - about.keys()):
        expected = f"with {', '.join(missing)}"
        raise wrong(f'"{path}"', expected=expected, found=sorted(about), hint=AGAIN)
    for key, types in KEYS.items():
        if not isinstance(about[key], types):
            expected, found = " or ".join(t.__name__ for t in types), type(about[key]).__name__
            raise wrong(f'`{key}` of "{path}"', expected=expected, found=found, hint=AGAIN)
    if unseal(about) is None:
        raise _altered(path, about["sha256"], "other values: altered")
    return about


def _altered(path: Path, sha256: str, found: str) -> Exception:
    expected = f"as it was written (sha256 {sha256[:12]}...)"
    return wrong(f'"{path}"', expected=expected, found=found, hint=AGAIN)
