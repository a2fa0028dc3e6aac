"""What a run ran on."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import torch

from ..version import __version__


def environment(data: Mapping[str, str]) -> dict[str, Any]:
    """List versions, the machine's kind, the state of the git repository, data hashes, command and time.

    Args:
        data: hash of each data set, by the caller's names.

    Example:
        >>> sorted(environment({}))
        ['began', 'command', 'cuda', 'data', 'git', 'headstart', 'platform', 'python', 'threads', 'torch']
    """
    return {
        "began": now(),
        "headstart": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "git": _git(),
        "command": sys.argv,
        "data": dict(data),
    }


def now() -> str:
    """Write the date and the time, to the second, with the zone."""
    return datetime.now().astimezone().isoformat(" ", "seconds")


def _git() -> dict[str, Any] | None:
    """Tell the commit and whether the working tree differs from it; ``None`` outside a repository."""
    try:
        commit, status = (
            subprocess.run(
                ["git", *words], capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(status)}
