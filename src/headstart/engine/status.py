"""How the work in a directory is, and who is at it: ``status.json``."""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..atomic import write_atomic
from ..errors import wrong

BEAT = 1.0  # seconds between heartbeats
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


class Heartbeat:
    """Keep the status of a directory, so that others see how its work is and stay away from it.

    As a context manager it writes how the work ended: "done", "failed", or "interrupted" (Ctrl-C);
    without that, work whose process has ended is shown as "lost". A directory in which another
    process is at work is refused.

    Args:
        directory: where ``status.json`` is kept.

    Attributes:
        place: phase, steps of it that are done, and steps in all, as they are written at the end.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     with Heartbeat(directory) as heart:
        ...         heart.beat("running", "trials", 3, 10)
        ...     heart.read().state
        'done'
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.place = ("", 0, 0)

    def read(self) -> Status:
        """Read how the work is, and judge whether one that says "running" still does."""
        try:
            said = Status(**json.loads((self.directory / "status.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return Status("lost")
        if said.state != "running" or _alive(said):
            return said
        return Status(**asdict(said) | {"state": "lost"})

    def check_free(self) -> None:
        """Raise ``FileExistsError`` where another process is at work in the directory."""
        said = self.read()
        if said.state == "running" and any(getattr(said, key) != own for key, own in _owner().items()):
            raise wrong(
                f"output directory `{self.directory}`",
                expected="free",
                found=f"a run of process {said.pid} on {said.host}",
                hint="wait until it ends, or choose another (`--out`)",
                error=FileExistsError,
            )

    def beat(self, state: str, phase: str = "", step: int = 0, steps: int = 0) -> None:
        """Write how the work is."""
        status = Status(state, phase, step, steps, **_owner(), time=time.time())
        write_atomic(self.directory / "status.json", json.dumps(asdict(status)), sync=False)

    def __enter__(self) -> Self:
        self.check_free()
        self.beat("running")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.beat("done", *self.place)
            return
        with suppress(OSError):  # a full disk must not hide why the work ended
            self.beat("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed", *self.place)


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
