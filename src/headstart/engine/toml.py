"""Write TOML, which the standard library only reads."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

NUMBERS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}  # as JSON and as TOML write them


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
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key, key)


def _value(value: Any, name: str) -> str:
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_key(k)} = {_value(v, name)}" for k, v in value.items() if v is not None) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v, name) for v in value) + "]"
    try:
        text = json.dumps(value, ensure_ascii=False, default=os.fspath).replace("\x7f", "\\u007f")
    except TypeError:
        message = (
            f"setting `{name}` should be text, a number, a list or a table; found {type(value).__name__}"
        )
        raise TypeError(message) from None
    return NUMBERS.get(text, text)
