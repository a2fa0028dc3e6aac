"""What is wrong with a problem file, told by the dotted names of its keys and in its own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import explain, unknown
from .schema import section_at


def messages(
    error: ValidationError,
    raw: Mapping[str, Any],
    path: Path,
    section_at: Callable[[list[str | int]], type[BaseModel]] = section_at,
) -> list[str]:
    """Say each wrong key once.

    Args:
        error: what the check of the file found.
        raw: the file as it was read.
        path: the file.
        section_at: tells which table stands at a location.
    """
    told: dict[str, str] = {}
    for entry in error.errors():
        if entry["type"] == "extra_forbidden":
            *parents, key = entry["loc"]
            table = dotted(parents)
            what = f"key in [{table}] of {path}" if table else f"key of {path}"
            told[dotted(entry["loc"])] = str(unknown(what, str(key), section_at(list(parents)).model_fields))
            continue
        if entry["type"] == "missing":
            at, found = list(entry["loc"]), "nothing"
        else:
            at, value = _given(entry["loc"], raw)
            found = shown(value)
        field = section_at(at[:-1]).model_fields.get(str(at[-1]))
        expected = (field.description if field else None) or entry["msg"].removeprefix("Input should be ")
        told.setdefault(dotted(at), explain(f"`{dotted(at)}` of {path}", expected=expected, found=found))
    return list(told.values())


def shown(value: object) -> str:
    """Write a value as TOML does."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text.lower() if value in (True, False) and text in ("True", "False") else text


def dotted(location: Sequence[str | int]) -> str:
    """Join the parts of a key's name."""
    return ".".join(map(str, location))


def _given(location: Sequence[str | int], raw: Any) -> tuple[list[str | int], Any]:
    """Follow an error's location as far as it names keys of the file: up to the last key of a table."""
    at: list[str | int] = []
    for part in location:
        table = isinstance(raw, dict) and part in raw
        item = isinstance(raw, list) and isinstance(part, int) and isinstance(raw[part], dict)
        if not (table or item):
            break
        raw = raw[part]
        at.append(part)
    return at, raw
