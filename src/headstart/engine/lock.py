"""A lock on a directory that the kernel holds for this process, and lets go when it ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..atomic import LOCK, writing

_held: dict[str, int] = {}  # descriptors of locked files, by directory


def acquire(directory: Path) -> bool:
    """Lock a directory for this process; tell whether it is: another process may have it.

    Locking again what this process has locked changes nothing. Where the file system knows no locks, every
    directory counts as free.

    Raises:
        OSError: if the directory cannot be written.
    """
    path = directory / LOCK
    while not holds(directory):
        release(directory)
        with writing(path):
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _locked(file):
            os.close(file)
            return False
        _held[os.path.realpath(directory)] = file  # which may have been deleted before it was locked
    return True


def holds(directory: Path) -> bool:
    """Tell whether this process has locked a directory, and the file that says so is still there."""
    file = _held.get(os.path.realpath(directory))
    return file is not None and not _is_gone(file, directory / LOCK)


def release(directory: Path) -> None:
    """Let go of a directory."""
    file = _held.pop(os.path.realpath(directory), None)
    if file is not None:
        os.close(file)


def _is_gone(file: int, path: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return True


if sys.platform == "win32":

    def _locked(file: int) -> bool:
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _locked(file: int) -> bool:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no locks here
            return True
        return True

    def _let_go() -> None:
        """Let the parent alone have its locks: a child that lives longer must not keep them."""
        for file in _held.values():
            os.close(file)
        _held.clear()

    os.register_at_fork(after_in_child=_let_go)
