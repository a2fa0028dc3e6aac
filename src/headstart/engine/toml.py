"""Write TOML, which the standard library only reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def to_toml(settings: Mapping[str, Any]) -> str:
    """Write settings as TOML; ``tomllib`` reads the same settings back.

    Entries that are ``None`` are left out, because TOML has no such value.

    Args:
        settings: strings, integers, floats, booleans, paths (as strings), and lists and tables of them.

    Raises:
        TypeError: for a value of another type; the message names its key.

    Example:
        >>> print(to_toml({"seeds": 3, "sources": [{"data": "digits:0-4"}]}))
        seeds = 3
        <BLANKLINE>
        [[sources]]
        data = "digits:0-4"
        <BLANKLINE>
    """
    return "\n".join(_table(settings, ())).lstrip("\n") + "\n"


def _table(settings: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Write a table's own values, then its tables, each under its full name."""
    values, tables = [], []
    for key, value in settings.items():
        here = (*path, key)
        name = ".".join(map(_key, here))
        if isinstance(value, Mapping):
            tables += ["", f"[{name}]", *_table(value, here)]
        elif isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) for v in value):
            for entry in value:
                tables += ["", f"[[{name}]]", *_table(entry, here)]
        elif value is not None:
            values.append(f"{_key(key)} = {_value(value, name)}")
    return values + tables


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any, name: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(float(value))
    if isinstance(value, str | PurePath):
        return _string(str(value))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v, name) for v in value) + "]"
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_key(k)} = {_value(v, name)}" for k, v in value.items() if v is not None) + "}"
        )
    raise TypeError(
        f"setting `{name}` should be text, a number, a list or a table; found {type(value).__name__}"
    )
