"""How the work in a directory is, and who is at it: ``status.json``."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..atomic import LOCK, sweep
from ..errors import wrong
from ..records import read_json, write_record
from . import lock
from .ending import Ending

BEAT = 1.0  # seconds between heartbeats
STALE = 60.0  # seconds that the heartbeat of a run on another machine may be off the clock of this one
LOOK = 4 * BEAT  # how long one is watched that is, before it counts as lost


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
        seconds: of work so far, those of processes before included.

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
    seconds: float = 0.0


class Heartbeat:
    """Keep a directory for this process, and its status, so that others see how its work is.

    As a context manager it locks the directory, beats from a thread of its own, and writes how the work
    ended: "done", "failed", or "interrupted" (Ctrl-C, SIGTERM, SIGHUP); without that, work whose process has
    ended is shown as "lost". A directory in which another process is at work is refused.

    Args:
        directory: where ``status.json`` is kept.

    Attributes:
        place: phase, steps of it that are done, and steps in all, as they are written at the next beat.
        ending: what asks the work to end.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     with Heartbeat(directory) as heart:
        ...         heart.tell("trials", 3, 10)
        ...     heart.read().state
        'done'
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.place = ("", 0, 0)
        self.ending = Ending()
        self._before, self._since = 0.0, time.monotonic()
        self._due = self._since
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def read(self) -> Status:
        """Read how the work is, and judge whether one that says "running" still does."""
        said = self._said()
        if said.state != "running" or _alive(said):
            return said
        return Status(**asdict(said) | {"state": "lost"})

    def check_free(self) -> None:
        """Raise ``FileExistsError`` where another process is at work in the directory."""
        mine = lock.holds(self.directory)
        if not mine and (self.directory / LOCK).exists():
            self.claim()
            lock.release(self.directory)
        elif not mine and self._is_at_work_elsewhere():
            raise self._taken()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Lock the directory as ``claim`` does, and let go of it again if what follows fails."""
        mine = lock.holds(self.directory)
        self.claim()
        try:
            yield
        except BaseException:
            if not mine:
                lock.release(self.directory)
            raise

    def claim(self) -> None:
        """Lock the directory, which is there, for this process.

        Raises:
            FileExistsError: if another process is at work in it.
            OSError: if it cannot be written.
        """
        mine = lock.holds(self.directory)
        if not lock.acquire(self.directory):
            raise self._taken()
        if not mine and self._is_at_work_elsewhere():
            lock.release(self.directory)
            raise self._taken()

    def beat(self, state: str) -> None:
        """Write how the work is."""
        seconds = self.spent()
        status = Status(state, *self.place, **_owner(), time=time.time(), seconds=seconds)
        write_record(self.directory / "status.json", asdict(status), sync=False)

    def tell(self, phase: str, step: int, steps: int) -> None:
        """Say how far the work is; it is written at the next beat, or now and then where nobody beats."""
        self.place = (phase, step, steps)
        if self._thread is None and time.monotonic() >= self._due:
            self.beat("running")
            self._due = time.monotonic() + BEAT

    def spent(self) -> float:
        """Tell the seconds of work so far, those of processes before included."""
        return self._before + time.monotonic() - self._since

    def __enter__(self) -> Self:
        self.claim()
        self._before, self._since = self._said().seconds, time.monotonic()
        sweep(self.directory)
        self.ending.begin()
        try:
            self.beat("running")
        except BaseException:
            self._leave()
            raise
        self._over.clear()
        self._thread = threading.Thread(target=self._pulse, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        try:
            if kind is None:
                self.beat("done")
                return
            with suppress(OSError):  # a full disk must not hide why the work ended
                self.beat("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")
        finally:
            self._leave()

    def _leave(self) -> None:
        self.ending.end()
        lock.release(self.directory)

    def _pulse(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(OSError):
                self.beat("running")

    def _said(self) -> Status:
        try:
            said = Status(**read_json(self.directory / "status.json"))
        except (OSError, ValueError, TypeError):
            return Status("lost")
        return said if _fits(said) else Status("lost")

    def _taken(self) -> Exception:
        said = self._said()
        return wrong(
            f"output directory `{self.directory}`",
            expected="free",
            found=f"a run of process {said.pid} on {said.host}" if said.pid else "a run of another process",
            hint="wait until it ends, or choose another (`--out`)",
            error=FileExistsError,
        )

    def _is_at_work_elsewhere(self) -> bool:
        """Tell whether a process whose lock does not reach here is at work, whatever its clock says."""
        said = self._said()
        if said.state != "running" or all(getattr(said, key) == own for key, own in _owner().items()):
            return False
        if said.boot and said.boot == _boot():  # of this kernel, so the lock told, if there are any
            return said.host == platform.node() and _alive(said)
        until = time.monotonic() + LOOK
        while not _alive(said) and time.monotonic() < until:
            time.sleep(BEAT / 4)
            if self._said().time != said.time:
                return True
        return _alive(said)


def _fits(said: Status) -> bool:
    """Tell whether what was read is of the right types: a stranger may have written it."""
    return all(
        isinstance(value, str) if isinstance(plain, str) else _is_number(value)
        for value, plain in zip(astuple(said), astuple(Status("lost")), strict=True)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 2**53


def _owner() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "began": _began(pid), "boot": _boot(), "host": platform.node()}


def _alive(said: Status) -> bool:
    if (said.host, said.boot) == (platform.node(), _boot()):
        return _began(said.pid) == said.began and _is_process(said.pid)
    return abs(time.time() - said.time) <= STALE


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
