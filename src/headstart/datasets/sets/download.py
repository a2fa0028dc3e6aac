"""Fetch public files, each checked before anything reads it."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ...errors import wrong
from ...progress import Bar

BLOCK = 1 << 20


@dataclass(frozen=True)
class Source:
    """Name a public file and its checksum.

    Args:
        url: where it is.
        checksum: ``"sha256:..."`` or ``"md5:..."``; empty where none is published, and then
            the `Recipe` knows what must come of the file.
    """

    url: str
    checksum: str = ""


def download(source: Source, path: Path) -> Path:
    """Fetch a file to ``path``, which is there whole and checked, or not at all.

    Raises:
        OSError: if the file is not reached.
        ValueError: if its checksum is another.
    """
    method, _, expected = source.checksum.partition(":")
    digest = hashlib.new(method or "sha256", usedforsecurity=False)
    with urllib.request.urlopen(source.url, timeout=60) as answer:
        size = int(answer.headers.get("Content-Length") or 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as part, Bar(path.name, -(-size // BLOCK), unit="MB") as bar:
                while block := answer.read(BLOCK):
                    digest.update(block)
                    part.write(block)
                    bar.show(-(-part.tell() // BLOCK))
                part.flush()
                os.fsync(part.fileno())
            if expected and digest.hexdigest() != expected:
                raise wrong(
                    f"{method} of {source.url}",
                    expected=expected,
                    found=digest.hexdigest(),
                    hint="try again; if it stays so, the publisher has changed the file",
                )
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    return path
