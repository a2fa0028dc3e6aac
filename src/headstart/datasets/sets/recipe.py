"""How a set's files are made of what is published.

A recipe turns the published files (archives of PNGs, CoNLL, svmlight, CSV of molecules) into the
few files that the set's reader knows, once. Where the publisher gives no checksum, the checksum is
that of the rows that come out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .download import Source

GITHUB = "https://raw.githubusercontent.com/"

Content = bytes | dict[str, np.ndarray]
"""A file's bytes (compressed when its name ends in ``.xz``), or the arrays of an ``.npz``."""


@dataclass(frozen=True)
class Recipe:
    """Say what a set's files are made of.

    Args:
        files: names under ``HEADSTART_DATA`` or the cache.
        sources: the public files.
        make: turns the downloaded ``sources`` into the contents of ``files``, in their order.
        needs: modules that ``make`` imports, each with the extra that installs it.
        content: `digest` of what comes out; given where the sources have no published checksum.
    """

    files: tuple[str, ...]
    sources: tuple[Source, ...]
    make: Callable[[Sequence[Path]], list[Content]]
    needs: tuple[tuple[str, str], ...] = ()
    content: str = ""


def digest(contents: Sequence[Content]) -> str:
    """Return the SHA-256 of bytes and arrays, however they are packed on disk.

    Example:
        >>> digest([b"a", {"x": np.zeros(2)}])[:8]
        '383a6fc7'
    """
    total = hashlib.sha256()
    for content in contents:
        if isinstance(content, bytes):
            total.update(content)
        else:
            for name, array in sorted(content.items()):
                total.update(f"{name} {array.dtype.str} {array.shape}".encode())
                total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def verbatim(raw: Sequence[Path]) -> list[Content]:
    """Keep files as they are published."""
    return [path.read_bytes() for path in raw]


def spaced(text: str) -> str:
    """Put one space between words, and none around."""
    return " ".join(text.split())


def each(place: str, base: str, checksums: Mapping[str, str]) -> tuple[Recipe, ...]:
    """Keep each file of a set as it is published; ``place`` holds ``{}`` where its name goes."""
    return tuple(
        Recipe((place.format(name),), (Source(base + name, f"sha256:{checksum}"),), verbatim)
        for name, checksum in checksums.items()
    )
