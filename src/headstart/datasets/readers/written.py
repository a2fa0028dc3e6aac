"""Numbers and words as people write them: which text is a number, which says that there is none.

Ways of writing are found for a column as a whole: ``1.234`` alone may be either of two numbers.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from heapq import nlargest
from itertools import islice
from typing import Any

NOTHING = frozenset(["", "na", "n/a", "nan", "null", "none", "?"])  # says that a number is missing
BLANKS = frozenset([
    *NOTHING, "-", "--", "---", "–", "—", ".", "..", "...", "*", "**", "<na>", "nat", "nil",
    "unknown", "unk", "not known", "missing", "undefined", "undef", "not available", "not applicable",
    "no data", "no value", "(null)", "(blank)", "(none)", "(missing)", "(empty)", "blank", "tbd",
    "n.a.", "n. a.", "n.a", "n.d.", "n.d", "nd", "n/d", "k.a.", "k. a.", "#n/a", "#na", "#null!",
    "#value!", "#ref!", "#div/0!", "#num!", "#name?", "#n/a n/a", "1.#ind", "-1.#ind", "1.#qnan", "-nan",
])  # fmt: skip
CODE = re.compile(r"[+-]?0\d")  # 007: its zeros tell it from 7
NUMBER = 0.9  # the share of cells that has to be numbers of one way of writing; the rest are slips
MERGED = 0.8  # of the different texts so many different numbers have to be left, as not of <50 and >50
SOME = 500  # texts, of which one is a number of a way of writing, or no others are tried
FEW = 3  # different numbers, under which texts with units are categories

_CURRENCY = (
    r"[$€£¥₹₽₩₺₴฿₫₪₦₱]|[A-Z]{1,3}\$|R\$|Rs\.?|kr\.?|Kč|zł|Ft|lei|лв\.?|"
    r"USD|EUR|GBP|CHF|Fr\.|JPY|CNY|RMB|INR|AUD|CAD|SEK|NOK|DKK|PLN|BRL|RUB|ZAR|KRW|MXN|TRY"
)
_UNIT = r"[^\W\d_]{1,8}(?:[/·*][^\W\d_]{1,8})?[23²³]?|[%‰°][CFK]?|º[CF]?|[\"'″′]"
_TEXT = re.compile(
    rf"(?P<bound>[<>≤≥~≈±]=?\s*)?(?P<open>\()?\s*(?P<sign>[-+])?\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[-+])?\s*"
    rf"(?P<digits>\d(?:[\d.,' ]*\d)?\.?|[.,]\d+)(?P<power>[eE][-+]?\d+)?\s*"
    rf"(?P<last>-(?=\s|$|\)))?\s*"
    rf"(?P<after>{_CURRENCY}|{_UNIT})?\.?\s*(?P<close>\))?"
)
_ALIKE = str.maketrans("−–﹣－’‘ʼ＇´\u00a0\u2007\u2009\u202f\u2002\u2003", "----'''''      ")
_MARKS = [(".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'")]


@dataclass(frozen=True)
class Style:
    """Say how the numbers of a column are written.

    Bounds (``<0.5``) are read as the number beside them; a percentage as the number before its mark. A minus
    may stand behind (``5.2-``), or be written as brackets.

    Args:
        decimal: the mark before the parts of one.
        group: the mark between thousands; ``""`` where there is none.
        unit: what stands before or after each number, or some.

    Example:
        >>> Style(",", ".").number("1.234,5"), Style(".", "", "kg").number("<0.5 kg"), Style().number("5 kg")
        (1234.5, 0.5, None)
    """

    decimal: str = "."
    group: str = ""
    unit: str = ""

    def number(self, text: str) -> float | None:
        """Read a number; ``None`` where the text is none of this style."""
        found = _TEXT.fullmatch(text.translate(_ALIKE).strip())
        if found is None or bool(found["open"]) != bool(found["close"]):
            return None
        units = [found[side] for side in ("before", "after") if found[side]]
        signs = [found[name] for name in ("sign", "inner", "last") if found[name]]
        if units not in ([], [self.unit]) or len(signs) > 1:
            return None
        plain = self._plain(found["digits"])
        if plain is None:
            return None
        minus = "-" in signs or found["open"]
        value = float(plain + (found["power"] or ""))
        return -value if minus else value

    def _plain(self, digits: str) -> str | None:
        whole, mark, part = digits.partition(self.decimal)
        if self.group and self.group in whole:
            first, *rest = whole.split(self.group)
            threes = bool(rest) and len(rest[-1]) == 3 and all(len(g) in (2, 3) for g in rest)
            if not (threes and 1 <= len(first) <= 3 and first != "0"):
                return None
            whole = first + "".join(rest)
        done = whole + ("." + part if mark else "")
        return done if re.fullmatch(r"\d+\.?\d*|\.\d+", done) else None

    def to_json(self) -> dict[str, str]:
        """Return it as JSON."""
        return asdict(self)


def number(value: Any) -> float | None:
    """Read one value, NaN where it is missing; ``None`` where it is no number.

    Example:
        >>> number("1e3"), number("NA"), number("1,5"), number(True)
        (1000.0, nan, None, None)
    """
    if value is None:
        return math.nan
    if value is True or value is False or "_" in (text := str(value)):
        return None
    try:
        return float(value)
    except ValueError:
        return math.nan if nothing(text) else None


def nothing(text: str) -> bool:
    """Tell whether a text says that a number is missing."""
    return len(text) < 5 and text.lower() in NOTHING


def blank(value: Any) -> bool:
    """Tell whether a value among numbers says, in one of many ways, that one is missing."""
    return isinstance(value, str) and len(value) < 20 and value.strip().lower() in BLANKS


def style_of(counts: Mapping[str, int], semicolons: bool = False) -> Style | None:
    """Find the way in which (nearly) all texts are numbers; ``None`` where there is none.

    Where ``1,234`` may be either, it is a thousand, unless fields stand between semicolons.

    Args:
        counts: how often each text occurs.
        semicolons: whether these stand between the fields of the file.

    Example:
        >>> style_of({"1,5": 1, "20,25": 1, "7": 1}), style_of({"1,500": 1, "20,250": 1, "7": 1})
        (Style(decimal=',', group='', unit=''), Style(decimal='.', group=',', unit=''))
    """
    unit = _unit(counts)
    marks = sorted(_MARKS, key=lambda both: both[0] != ",") if semicolons else _MARKS
    best, most = None, NUMBER * sum(counts.values())
    some = [
        *nlargest(SOME, counts, key=counts.__getitem__),
        *islice(counts, None, None, 1 + len(counts) // SOME),
    ]
    for decimal, group in marks:
        style = Style(decimal, group, unit)
        if all(style.number(text) is None for text in some):
            continue
        read = {text: style.number(text) for text in counts}
        of = sum(n for text, n in counts.items() if read[text] is not None)
        different = {v for v in read.values() if v is not None}
        if of < most or len(different) < max(FEW, MERGED * sum(v is not None for v in read.values())):
            continue
        if best is None or of > most:
            best, most = style, of
    return best


def _unit(counts: Mapping[str, int]) -> str:
    """Find the unit that at least half of the numbers have beside them; ``""`` where none is."""
    units: Counter[str] = Counter()
    for text, n in counts.items():
        if (found := _TEXT.fullmatch(text.translate(_ALIKE).strip())) is not None:
            units[found["before"] or found["after"] or ""] += n
    unit, n = max(units.items(), key=lambda item: (item[0] != "", item[1]), default=("", 0))
    return unit if 2 * n >= units.total() else ""


def nfc(text: str) -> str:
    """Write accents in one way: names that look alike are alike."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def readable(name: str) -> str:
    """Write the name of a file as text that any program can write, whatever its bytes are.

    Example:
        >>> readable("b\\udcff"), readable("café")
        ('b\\\\xff', 'café')
    """
    return nfc(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def spelled(value: Any) -> str:
    """Write a value in one way, whichever reader it came from: truths, whole numbers, and accents.

    Example:
        >>> spelled(True), spelled("TRUE"), spelled(1.0), spelled("1.0"), spelled("007"), spelled("a ")
        ('true', 'true', '1', '1', '007', 'a')
    """
    if isinstance(value, bool):
        return str(value).lower()
    text = nfc(str(value)).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    if CODE.match(text) and "." not in text:
        return text
    found = number(text)
    if found is None or not math.isfinite(found):
        return text
    return str(int(found)) if found.is_integer() and abs(found) < 1e15 else repr(found)
