"""How every message to a user is built: what, expected, found, try.

All errors are Python's own types, so that callers catch what they already know.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def explain(what: str, *, expected: str, found: object, hint: str = "") -> str:
    """Join the four parts of an error message.

    Args:
        what: the parameter, file or row that is wrong, with backticks around names.
        expected: what it should be, with ranges and units.
        found: what it is.
        hint: what the user can do about it; left out when empty.

    Example:
        >>> explain("`shots`", expected="at least 1", found=0, hint="pass `shots=1`")
        '`shots` should be at least 1; found 0; pass `shots=1`'
    """
    message = f"{what} should be {expected}; found {found}"
    return f"{message}; {hint}" if hint else message


def wrong(
    what: str, *, expected: str, found: object, hint: str = "", error: type[Exception] = ValueError
) -> Exception:
    """Make the error to raise for something that is not as it should be.

    Args:
        what: as in ``explain``, and so are ``expected``, ``found`` and ``hint``.
        error: one of Python's own types, so that callers catch what they already know.

    Example:
        >>> raise wrong("`shots`", expected="at least 1", found=0)
        Traceback (most recent call last):
        ValueError: `shots` should be at least 1; found 0
    """
    return error(explain(what, expected=expected, found=found, hint=hint))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, or list what there is.

    Example:
        >>> did_you_mean("protnet", ["protonet", "maml"])
        'did you mean "protonet"?'
        >>> did_you_mean("zzz", ["protonet", "maml"])
        'known: maml, protonet'
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else "known: " + ", ".join(names)


def unknown(what: str, name: str, known: Iterable[str], *, error: type[Exception] = ValueError) -> Exception:
    """Make the error to raise for a name that is not known, with the one that may have been meant.

    Example:
        >>> raise unknown("strategy", "fine-tune", ["finetune", "probe"])
        Traceback (most recent call last):
        ValueError: strategy should be a known name; found "fine-tune"; did you mean "finetune"?
    """
    hint = did_you_mean(name, known)
    return wrong(what, expected="a known name", found=f'"{name}"', hint=hint, error=error)
