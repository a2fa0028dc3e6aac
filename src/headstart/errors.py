"""How every message to a user is built: what, expected, found, try.

All errors are Python's own types, so that callers catch what they already know.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

LISTED, MANY = 100, 5000  # names that a message lists, and that are compared with one

# What steers a terminal, turns the direction of text, or no file can hold; lines and tabs stay.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: object) -> str:
    """Write what must not reach a terminal as it is in the way of Python's strings.

    Args:
        text: anything; names out of files, among others.

    Example:
        >>> clean("a\\x1b[31mb")
        'a\\\\x1b[31mb'
    """
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], str(text))


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
    return clean(f"{message}; {hint}" if hint else message)


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
    made = error(explain(what, expected=expected, found=found, hint=hint))
    made.__dict__[_TOLD] = True
    return made


_TOLD = "_headstart_told"


def is_told(error: BaseException) -> bool:
    """Tell whether ``wrong`` made an error, so that its text is meant for a user.

    Example:
        >>> is_told(wrong("`shots`", expected="at least 1", found=0)), is_told(KeyError("shots"))
        (True, False)
    """
    return _TOLD in error.__dict__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, or list what there is.

    Example:
        >>> did_you_mean("protnet", ["protonet", "maml"])
        'did you mean "protonet"?'
        >>> did_you_mean("zzz", ["protonet", "maml"])
        'known: maml, protonet'
    """
    names = sorted(known)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else "known: " + ", ".join(names[:LISTED]) + more


def near_names(name: str, there: Sequence[str], what: str = "files") -> str:
    """Suggest up to three names like one that is missing, and say among how many they were looked for.

    Example:
        >>> near_names("tran.csv", ["train.csv", "prices.csv", "notes.md"])
        'did you mean "train.csv"? There are 3 files beside it'
        >>> near_names("a", ["b"] * 4000)
        'no name is like it, of 4000 files that are there'
    """
    near = difflib.get_close_matches(name, there[:MANY], n=3, cutoff=0.6)
    if not near:
        return f"no name is like it, of {len(there)} {what} that are there"
    listed = " or ".join(f'"{one}"' for one in near)
    return f"did you mean {listed}? There are {len(there)} {what} beside it"


def unknown(what: str, name: str, known: Iterable[str], *, error: type[Exception] = ValueError) -> Exception:
    """Make the error to raise for a name that is not known, with the one that may have been meant.

    Example:
        >>> raise unknown("strategy", "fine-tune", ["finetune", "probe"])
        Traceback (most recent call last):
        ValueError: strategy should be a known name; found "fine-tune"; did you mean "finetune"?
    """
    hint = did_you_mean(name, known)
    return wrong(what, expected="a known name", found=f'"{name}"', hint=hint, error=error)


def failure(error: Exception) -> str:
    """Say what went wrong in one line, with the error's type where that is not plain from its text.

    Example:
        >>> failure(ValueError("no rows")), failure(KeyError("a"))
        ('no rows', "KeyError: 'a'")
    """
    said = " ".join(str(error).split())
    plain = isinstance(error, ValueError | FloatingPointError) and said
    return said if plain else f"{type(error).__name__}: {said}"
