"""A run is a directory: settings, losses, checkpoints, environment, status. The directory is the truth."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.optim.lr_scheduler import LRScheduler

from ..atomic import LOCK, is_new, write_atomic, writing
from ..errors import wrong
from ..records import file_hash, read_record, write_record
from .checkpoint import Checkpoints
from .environment import environment
from .journal import Journal
from .log import Log
from .phase import Phase
from .status import Heartbeat, Status
from .toml import to_toml

SETTINGS, ENVIRONMENT = "run.toml", "environment.json"
ANEW = "begin anew in another directory (`--out`)"


class Run:
    """Keep a run in a directory; make one with ``Run.create``, read one with ``Run.open``.

    As a context manager it writes how the run ended: "done", "failed", or "interrupted" (Ctrl-C; SIGTERM
    and SIGHUP, after a checkpoint); without that, a run whose process has ended is shown as "lost". A
    directory in which another process is at work is refused.

    ``run.toml`` holds the settings, ``metrics.jsonl`` the losses of every step (without clock times,
    so that a resumed run writes the same bytes), ``checkpoints/`` the last two states of every phase,
    ``environment.json`` what it ran on, ``status.json`` a heartbeat.

    Args:
        directory: where.
        every_steps: steps between checkpoints; ``None`` goes by time alone.
        every_seconds: seconds between checkpoints.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     with Run.create(Path(root) / "first", {"seed": 0}) as run:
        ...         pass  # fit(..., run=run, phase="head")
        ...     Run.open(Path(root) / "first").status().state
        'done'
    """

    def __init__(
        self, directory: str | Path, *, every_steps: int | None = None, every_seconds: float = 60.0
    ) -> None:
        self.directory = Path(directory)
        self.checkpoints = Checkpoints(self.directory / "checkpoints", every_steps, every_seconds)
        self.journal = Journal(self.directory / "metrics.jsonl")
        self.heart = Heartbeat(self.directory)
        self.phases: set[str] = set()

    @classmethod
    def create(
        cls,
        directory: str | Path,
        settings: Mapping[str, Any],
        *,
        overwrite: bool = False,
        data: Mapping[str, str] | None = None,
        every_steps: int | None = None,
        every_seconds: float = 60.0,
    ) -> Run:
        """Begin a run, or go on with the one that has these very settings.

        Args:
            directory: new, empty, or a run.
            settings: complete, with defaults; written to ``run.toml``.
            overwrite: whether a run with other settings is deleted first. Only runs are ever deleted.
            data: hash of each data set, and whatever else results depend on; a run goes on with the same.
            every_steps: steps between checkpoints; ``None`` goes by time alone.
            every_seconds: seconds between checkpoints.

        Raises:
            FileExistsError: if the directory holds anything else, or its run is going on elsewhere.
            ValueError: if the data are others than those that the run began with.
            OSError: if it cannot be written.
        """
        run = cls(directory, every_steps=every_steps, every_seconds=every_seconds)
        text, path = to_toml(settings), run.directory / SETTINGS
        run._check_mine()
        with writing(run.directory):
            run.directory.mkdir(parents=True, exist_ok=True)
        with run.heart.claimed():
            run._check_mine()
            if overwrite:
                run._clear()
            elif path.exists() and run.settings() != tomllib.loads(text):
                raise wrong(
                    f"output directory `{run.directory}`",
                    expected="new or a run with these settings",
                    found="a run with others",
                    hint="choose another (`--out`) or pass `overwrite=True`",
                    error=FileExistsError,
                )
            if not path.exists():
                write_atomic(path, text)  # first: from here on the directory is that of a run
            run.begin(data or {})
            run.heart.beat("running")
        return run

    def _check_mine(self) -> None:
        """Raise ``FileExistsError`` where the directory holds anything but a run."""
        if not is_new(self.directory) and not (self.directory / SETTINGS).is_file():
            raise wrong(
                f"output directory `{self.directory}`",
                expected="new, empty or a run",
                found=f"other content, and no {SETTINGS}",
                hint="choose another (`--out`)",
                error=FileExistsError,
            )

    def begin(self, data: Mapping[str, str]) -> None:
        """Write what the run runs on, or check that it goes on with the same.

        Args:
            data: hashes by name, as for ``create``.

        Raises:
            ValueError: if a hash is another than it was.
        """
        with writing(self.directory):
            self.checkpoints.directory.mkdir(exist_ok=True)
            self.journal.path.touch()
        there = self.directory / ENVIRONMENT
        if there.exists() or any(self.checkpoints.directory.iterdir()):
            self._check_data(data)
        else:
            about = environment(data) | {"settings": file_hash(self.directory / SETTINGS)}
            write_record(there, about, indent=2)

    def _check_data(self, data: Mapping[str, str]) -> None:
        """Raise ``ValueError`` that says which data have changed, and since when, where hashes are known."""
        began = self.environment()
        then = began["data"]
        changed = [name for name in then | dict(data) if then.get(name) != data.get(name)]
        if then and data and changed:
            said = self.heart.read()
            since = f" after step {said.step} of {said.steps} ({said.phase})" if said.steps else ""
            raise wrong(
                f"{' and '.join(changed)} of run `{self.directory}`",
                expected=f"as when it began, {began['began']}",
                found=f"others{since}",
                hint="put them back, or begin anew in another directory (`--out`)",
            )

    def has_begun(self) -> bool:
        """Tell whether it is written what the run began on; it may have been killed before."""
        return (self.directory / ENVIRONMENT).exists()

    def environment(self) -> dict[str, Any]:
        """Read what the run began on; ``ValueError`` where the file is damaged."""
        return read_record(self.directory / ENVIRONMENT, hint=ANEW)

    @classmethod
    def open(
        cls, directory: str | Path, *, every_steps: int | None = None, every_seconds: float = 60.0
    ) -> Run:
        """Open a run that is there, to look at it or to go on with it.

        Raises:
            FileNotFoundError: if the directory holds no run.
        """
        run = cls(directory, every_steps=every_steps, every_seconds=every_seconds)
        if not (run.directory / SETTINGS).is_file():
            raise wrong(
                f"`{run.directory}`",
                expected="the directory of a run",
                found="no run.toml in it",
                error=FileNotFoundError,
            )
        return run

    def settings(self) -> dict[str, Any]:
        """Read the settings that the run began with; ``ValueError`` where they are altered."""
        path, there = self.directory / SETTINGS, self.directory / ENVIRONMENT
        text = _text(path)
        if there.exists() and file_hash(path) != self.environment().get("settings"):
            raise wrong(f"`{path}`", expected="as the run began with it", found="altered", hint=ANEW)
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise wrong(f"`{path}`", expected="TOML", found=str(error), hint=ANEW) from None

    def status(self) -> Status:
        """Read how the run is, and judge whether a run that says "running" still does."""
        return self.heart.read()

    def check_free(self) -> None:
        """Raise ``FileExistsError`` where another process is at work in the directory."""
        self.heart.check_free()

    def phase(
        self, name: str, steps: int, log: Log, parts: Mapping[str, Any], scheduler: LRScheduler | None
    ) -> Phase:
        """Begin a call of ``fit``, or restore it; ``ValueError`` for a name that this process used before."""
        if name in self.phases:
            hint = 'pass `fit(..., phase="another")`'
            raise wrong(
                "`phase`", expected="another for each `fit` of a run", found=f'"{name}" again', hint=hint
            )
        self.phases.add(name)
        return Phase(
            name,
            steps,
            log,
            parts,
            scheduler,
            checkpoints=self.checkpoints,
            journal=self.journal,
            heart=self.heart,
        )

    def _clear(self) -> None:
        for path in self.directory.iterdir():
            if path.name == LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def __enter__(self) -> Self:
        self.heart.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with suppress(OSError):  # a full disk must not hide why the run ended
                self.journal.flush()
        self.heart.__exit__(kind, error, trace)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        raise wrong(f"`{path}`", expected="TOML (UTF-8 text)", found="other bytes", hint=ANEW) from None


def list_runs(root: str | Path) -> list[Run]:
    """Find the runs under a directory, by path.

    Example:
        >>> list_runs("a directory that is not there")
        []
    """
    found = (path.parent for path in Path(root).rglob("run.toml"))
    return [Run(directory) for directory in sorted(found) if (directory / "status.json").is_file()]
