"""Files of models: from a cache on this machine, or over the network, where that may be asked."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ...errors import unknown, wrong

HUB = "huggingface.co"
WAIT = 3.0  # seconds for an answer of the hub, before it is said that there is no network


FETCH = ("yes", "never")
_policy: ContextVar[str] = ContextVar("policy", default="yes")


@contextmanager
def fetching(policy: str) -> Iterator[None]:
    """Say, for what is built within, whether the network may be asked: ``"yes"`` or ``"never"``.

    Raises:
        ValueError: for another word.

    Example:
        >>> with fetching("never"):
        ...     why_not("huggingface.co")
        'fetch = "never"'
    """
    if policy not in FETCH:
        raise unknown("`fetch`", policy, FETCH)
    token = _policy.set(policy)
    try:
        yield
    finally:
        _policy.reset(token)


def refused() -> str:
    """Say that nothing may be fetched, or "" where it may."""
    return 'fetch = "never"' if _policy.get() == "never" else ""


def why_not(host: str) -> str:
    """Say why nothing is fetched from a host, or "" where it may be asked and answers."""
    return refused() or ("" if answers(host) else "no network")


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
    offline = why_not(HUB)
    try:
        return Path(fetch(hub, bool(offline)))
    except (missing, OSError, ValueError) as error:
        raise wrong(
            f"weights of {use!r}",
            expected=f'"{name}" in the cache of {HUB}, or a network to fetch it',
            found=offline or str(error).splitlines()[0],
            hint=hint,
            error=ConnectionError,
        ) from error
