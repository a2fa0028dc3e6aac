"""A run is a directory: settings, losses, checkpoints, environment, status. The directory is the truth."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from torch.optim.lr_scheduler import LRScheduler

from ..atomic import write_atomic, writing
from ..errors import wrong
from .environment import environment
from .phase import Phase
from .toml import to_toml

if TYPE_CHECKING:
    from .fit import Log

STALE = 60.0  # seconds without a heartbeat after which a run on another machine counts as lost


@dataclass(frozen=True, slots=True)
class Status:
    """Hold what a run last said of itself.

    Args:
        state: "running", "done", "failed", "interrupted"; or "lost" where it said "running" and is gone.
        phase: the call of ``fit`` that it is in.
        step: steps of it that are done.
        steps: steps of it in all.
        pid: process.
        began: when the process began, in the kernel's own unit; tells apart two processes of one number.
        boot: which start of the machine.
        host: name of the machine.
        time: of the last heartbeat, in seconds since 1970.

    Example:
        >>> Status("running", phase="head", step=3, steps=10).step
        3
    """

    state: str
    phase: str = ""
    step: int = 0
    steps: int = 0
    pid: int = 0
    began: str = ""
    boot: str = ""
    host: str = ""
    time: float = 0.0


class Run:
    """Keep a run in a directory; make one with ``Run.create``, read one with ``Run.open``.

    As a context manager it writes how the run ended: "done", "failed", or "interrupted" (Ctrl-C);
    without that, a run whose process has ended is shown as "lost". A directory in which another
    process is at work is refused.

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
        if every_steps is not None and every_steps < 1:
            raise wrong("`every_steps`", expected="at least 1, or None", found=every_steps)
        if not every_seconds > 0:
            raise wrong("`every_seconds`", expected="above 0", found=every_seconds)
        self.directory = Path(directory)
        self.every_steps, self.every_seconds = every_steps, every_seconds
        self.checkpoints, self.metrics = self.directory / "checkpoints", self.directory / "metrics.jsonl"
        self.offset = 0  # bytes of metrics.jsonl that the phases of this process stand for
        self.phases: dict[str, Phase] = {}

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
            data: hash of each data set, for ``environment.json``.
            every_steps: steps between checkpoints; ``None`` goes by time alone.
            every_seconds: seconds between checkpoints.

        Raises:
            FileExistsError: if the directory holds anything else, or its run is going on elsewhere.
            OSError: if it cannot be written.
        """
        run = cls(directory, every_steps=every_steps, every_seconds=every_seconds)
        text, path = to_toml(settings), run.directory / "run.toml"
        what = f"output directory `{run.directory}`"
        if run.directory.exists() and (not run.directory.is_dir() or any(run.directory.iterdir())):
            if not path.is_file():
                hint = "choose another (`--out`)"
                raise wrong(
                    what,
                    expected="new, empty or a run",
                    found="other content",
                    hint=hint,
                    error=FileExistsError,
                )
            run.check_free()
            if overwrite:
                run._clear()
            elif path.read_text(encoding="utf-8") != text:
                hint = "choose another (`--out`) or pass `overwrite=True`"
                raise wrong(
                    what,
                    expected="new or a run with these settings",
                    found="a run with others",
                    hint=hint,
                    error=FileExistsError,
                )
        with writing(run.directory):
            run.directory.mkdir(parents=True, exist_ok=True)
            run.checkpoints.mkdir(exist_ok=True)
            run.metrics.touch()
        write_atomic(path, text)
        if not (run.directory / "environment.json").exists():
            write_atomic(run.directory / "environment.json", json.dumps(environment(data or {}), indent=2))
        run.beat("running")
        return run

    @classmethod
    def open(
        cls, directory: str | Path, *, every_steps: int | None = None, every_seconds: float = 60.0
    ) -> Run:
        """Open a run that is there, to look at it or to go on with it.

        Raises:
            FileNotFoundError: if the directory holds no run.
        """
        run = cls(directory, every_steps=every_steps, every_seconds=every_seconds)
        if not (run.directory / "run.toml").is_file():
            raise wrong(
                f"`{run.directory}`",
                expected="the directory of a run",
                found="no run.toml in it",
                error=FileNotFoundError,
            )
        return run

    def settings(self) -> dict[str, Any]:
        """Read the settings that the run began with."""
        return tomllib.loads((self.directory / "run.toml").read_text(encoding="utf-8"))

    def status(self) -> Status:
        """Read how the run is, and judge whether a run that says "running" still does."""
        try:
            said = Status(**json.loads((self.directory / "status.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return Status("lost")
        if said.state != "running" or _alive(said):
            return said
        return Status(**asdict(said) | {"state": "lost"})

    def check_free(self) -> None:
        """Raise ``FileExistsError`` where another process is at work in the directory."""
        said = self.status()
        if said.state == "running" and any(getattr(said, key) != own for key, own in _owner().items()):
            raise wrong(
                f"output directory `{self.directory}`",
                expected="free",
                found=f"a run of process {said.pid} on {said.host}",
                hint="wait until it ends, or choose another (`--out`)",
                error=FileExistsError,
            )

    def beat(self, state: str, phase: str = "", step: int = 0, steps: int = 0) -> None:
        """Write how the run is."""
        status = Status(state, phase, step, steps, **_owner(), time=time.time())
        write_atomic(self.directory / "status.json", json.dumps(asdict(status)), sync=False)

    def phase(
        self, name: str, steps: int, log: Log, parts: Mapping[str, Any], scheduler: LRScheduler | None
    ) -> Phase:
        """Begin a call of ``fit``, or restore it; ``ValueError`` for a name that this process used before."""
        if name in self.phases:
            hint = 'pass `fit(..., phase="another")`'
            raise wrong(
                "`phase`", expected="another for each `fit` of a run", found=f'"{name}" again', hint=hint
            )
        self.phases[name] = Phase(self, name, steps, log, parts, scheduler)
        return self.phases[name]

    def length(self) -> int:
        """Count the bytes of ``metrics.jsonl``."""
        return self.metrics.stat().st_size if self.metrics.exists() else 0

    def losses(self, start: int, end: int) -> Iterator[dict[str, float]]:
        """Read the losses of every step between two places of ``metrics.jsonl``."""
        with open(self.metrics, "rb") as file:
            file.seek(start)
            for line in file.read(end - start).splitlines():
                yield json.loads(line)["losses"]

    def _clear(self) -> None:
        for path in self.directory.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def __enter__(self) -> Self:
        self.check_free()
        self.beat("running")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state = "done" if kind is None else "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"
        last = list(self.phases.values())[-1:]
        where = [(p.name, p.log.steps, p.steps) for p in last] or [("", 0, 0)]
        if kind is None:
            self.beat(state, *where[0])
            return
        # A full disk must not hide why the run ended.
        for phase in last:
            with suppress(OSError):
                phase.flush()
        with suppress(OSError):
            self.beat(state, *where[0])


def list_runs(root: str | Path) -> list[Run]:
    """Find the runs under a directory, by path.

    Example:
        >>> list_runs("a directory that is not there")
        []
    """
    found = (path.parent for path in Path(root).rglob("run.toml"))
    return [Run(directory) for directory in sorted(found) if (directory / "status.json").is_file()]


def _owner() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "began": _began(pid), "boot": _boot(), "host": platform.node()}


def _alive(said: Status) -> bool:
    if (said.host, said.boot) == (platform.node(), _boot()):
        return _began(said.pid) == said.began and _is_process(said.pid)
    return time.time() - said.time <= STALE


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


def _began(pid: int) -> str:
    """When a process began, in the kernel's own unit; empty where that is not known, or it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    except (OSError, IndexError):
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
