"""Files of models from huggingface.co: from its cache on this machine, or over the network."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import wrong

HUB = "huggingface.co"
WAIT = 3.0  # seconds for an answer of the hub, before it is said that there is no network


def answers(host: str) -> bool:
    """Tell whether a host can be reached, at once where there is no network."""
    try:
        socket.create_connection((host, 443), timeout=WAIT).close()
    except OSError:
        return False
    return True


def fetched(use: str, name: str, fetch: Callable[[Any, bool], str], hint: str) -> Path:
    """Take files of a model from the hub's cache, or from its server.

    Args:
        use: what is built, for errors.
        name: of the model on the hub.
        fetch: from ``huggingface_hub`` and whether it may look in its cache alone, to a path.
        hint: what else to do.

    Raises:
        ConnectionError: if they are neither here nor there.
    """
    hub = importlib.import_module("huggingface_hub")
    missing = importlib.import_module("huggingface_hub.errors").LocalEntryNotFoundError
    offline = not answers(HUB)
    try:
        return Path(fetch(hub, offline))
    except (missing, OSError, ValueError) as error:
        raise wrong(
            f"weights of {use!r}",
            expected=f'"{name}" in the cache of {HUB}, or a network to fetch it',
            found="no network" if offline else str(error).splitlines()[0],
            hint=hint,
            error=ConnectionError,
        ) from error
