"""Where the library keeps what it fetched."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """Return the folder for downloads: ``HEADSTART_CACHE``, else ``~/.cache/headstart``."""
    return Path(os.environ.get("HEADSTART_CACHE") or Path.home() / ".cache" / "headstart")
