"""Small pieces of HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from .sizes import clean


def esc(text: object) -> str:
    """Make any value safe as HTML text or as an attribute.

    Example:
        >>> esc('<script>"')
        '&lt;script&gt;&quot;'
    """
    return html.escape(clean(text))


def breakable(name: object) -> str:
    """Let a long name break after the signs that join its parts."""
    return esc(name).replace("+", "+<wbr>").replace("_", "_<wbr>")


def section(name: str, title: str, body: str, lead: str = "") -> str:
    """Write a part of the page under its heading, or nothing where it has no body."""
    if not body:
        return ""
    lead = f'<p class="lead">{lead}</p>\n' if lead else ""
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{title}</h2>\n'
        f"{lead}{body}\n</section>\n"
    )


def grid(caption: str, heads: Sequence[str], rows: Iterable[str], style: str = "") -> str:
    """Write a table under its caption, which scrolls where it is too wide."""
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<h3>{caption}</h3>\n<div class="scroll" tabindex="0" role="region" aria-label="{caption}">'
        f'<table class="{style}" aria-label="{caption}"><thead><tr>{cells}</tr></thead>\n<tbody>'
        + "\n".join(rows)
        + "</tbody></table></div>\n"
    )


def definitions(named: Iterable[tuple[str, str]]) -> str:
    """Write names with what belongs to them, those that have anything."""
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in named if value)
    return f'<dl class="facts">{rows}</dl>' if rows else ""


def listed(values: Sequence[object], most: int = 12) -> str:
    """Join values by commas; of many, say how many more there are."""
    named = ", ".join(esc(value) for value in values[:most])
    return named + (f" and {len(values) - most} more" if len(values) > most else "")
