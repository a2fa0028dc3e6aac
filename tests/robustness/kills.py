"""Processes that are killed: at random, and at every call that brings something to the disk."""

from __future__ import annotations

import os
import random
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from .ground import make

WRITES = ("fsync", "replace", "rename")


def child(work: Callable[[], object]) -> int:
    """Run work in a process of its own, which ends without any ceremony: 0, or 1 where it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which do not matter here
        pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def ended(pid: int) -> int:
    """Wait for a process: its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def at_random(kind: str, place: Path, kills: int, longest: float, rng: random.Random) -> int:
    """Make a run or a comparison, killed again and again after a random time; count the kills that met it."""
    met = 0
    for _ in range(kills):
        pid = child(lambda: make(kind, place))
        time.sleep(rng.random() * longest)
        os.kill(pid, signal.SIGKILL)
        met += ended(pid) == -signal.SIGKILL
    return met


def at_write(kind: str, place: Path, number: int) -> bool:
    """Make a run or a comparison, killed at one of the calls of ``WRITES``; tell whether it came so far."""

    def work() -> None:
        left = number

        def counted(function: Callable[..., object]) -> Callable[..., object]:
            def counting(*words: object, **more: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*words, **more)

            return counting

        for name in WRITES:
            setattr(os, name, counted(getattr(os, name)))
        make(kind, place)

    return ended(child(work)) == -signal.SIGKILL
