"""Say what a comparison found: a table for the terminal and one self-contained HTML page.

The room reads the plain values of ``result.json`` and ``details.json`` and knows no strategy's code,
so that a report can be made again from a directory long after the run.
"""

from .page import fragment, page, write
from .table import checked, table
from .words import reasons

__all__ = ["checked", "fragment", "page", "reasons", "table", "write"]
