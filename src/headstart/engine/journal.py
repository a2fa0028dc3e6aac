"""The losses of every step on disk, one line each: ``metrics.jsonl``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..atomic import writing
from ..errors import wrong


class Journal:
    """Append lines to a file, and go back to a place in it.

    Lines wait in memory until they are flushed. No clock is in them, so that a run that was resumed
    writes the same bytes.

    Args:
        path: the file; it is made when the first line is written.

    Attributes:
        kept: bytes that checkpoints of this process count on; the next phase begins there.
        end: bytes that are written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     journal = Journal(Path(directory) / "metrics.jsonl")
        ...     journal.add("fit", 0, {"digits": 2.3})
        ...     journal.flush()
        ...     list(journal.losses(0, journal.length()))
        [{'digits': 2.3}]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept = self.end = 0
        self._waiting: list[str] = []
        self._hash = hashlib.sha256()  # of the bytes up to `end`

    def length(self) -> int:
        """Count the bytes that there are."""
        return self.path.stat().st_size if self.path.exists() else 0

    def losses(self, start: int, end: int) -> Iterator[dict[str, float]]:
        """Read the losses of every step between two places."""
        with open(self.path, "rb") as file:
            file.seek(start)
            for line in file.read(end - start).splitlines():
                yield json.loads(line)["losses"]

    def last(self) -> dict[str, dict[str, float]]:
        """Read the last losses of every phase; ``ValueError`` names the file where a line is damaged."""
        found: dict[str, dict[str, float]] = {}
        for line in self.path.read_bytes().splitlines() if self.path.exists() else ():
            try:
                entry = json.loads(line)
                found.setdefault(entry["phase"], {}).update(entry["losses"])
            except (ValueError, KeyError, TypeError) as error:
                raise wrong(f"`{self.path}`", expected="losses in every line", found=f"{error!r}") from None
        return found

    def digest(self, end: int | None = None) -> str:
        """Hash the first bytes: those that are written, or of the file up to a place."""
        return (self._hash if end is None else self._hashed(end)).hexdigest()

    def _hashed(self, end: int) -> Any:
        digest = hashlib.sha256()
        if end:
            with open(self.path, "rb") as file:
                digest.update(file.read(end))
        return digest

    def go_to(self, place: int) -> None:
        """Count on the first ``place`` bytes alone, and forget the lines that wait."""
        self.kept = self.end = place
        self._waiting = []
        self._hash = self._hashed(place)

    def cut(self) -> None:
        """Delete what is written beyond the place."""
        with writing(self.path):
            os.truncate(self.path, self.end)

    def add(self, phase: str, step: int, losses: Mapping[str, float]) -> None:
        """Let the losses of a step wait to be written."""
        self._waiting.append(json.dumps({"phase": phase, "step": step, "losses": losses}) + "\n")

    def flush(self) -> None:
        """Append the lines that wait, all of them or none."""
        data = "".join(self._waiting).encode()
        with writing(self.path):
            try:
                with open(self.path, "ab") as file:
                    file.write(data)
            except OSError:
                os.truncate(self.path, self.end)
                raise
        self.end += len(data)
        self._hash.update(data)
        self._waiting = []
