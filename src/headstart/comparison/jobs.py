"""How the jobs of a comparison are run: here, or in several processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import torch

from ..engine.ending import SIGNALS
from ..errors import explain
from ..memory import keep_memory
from .plan import Plan
from .trials import Job

Steps = Callable[[Plan, Job], Iterator[None]]
ENDS = (signal.SIGINT, *SIGNALS)


@dataclass
class Processes:
    """Run jobs cell by cell, here or in other processes, which stay for the next jobs of the same plan.

    To start one takes seconds: it imports all that is needed. Leaving the context ends them.

    Args:
        workers: processes; 1 runs the jobs in this one.
        threads: of each process.
    """

    workers: int
    threads: int
    _pool: ProcessPoolExecutor | None = field(default=None, init=False)
    _plan: Plan | None = field(default=None, init=False)  # what they were given
    _counter: Any = field(default=None, init=False)  # of the cells that they are done with

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._plan = None

    def run(self, plan: Plan, jobs: Sequence[Job], steps: Steps, show: Callable[[int], None]) -> None:
        """Run jobs.

        Args:
            plan: what every process gets.
            jobs: each with its cells; those without any are left out.
            steps: runs a job, and gives a value after every cell.
            show: told how many cells are done.
        """
        jobs = [job for job in jobs if any(cells for _, cells in job)]
        if self.workers == 1 or len(jobs) == 1:
            self._here(plan, jobs, steps, show)
        elif jobs:
            self._elsewhere(plan, jobs, steps, show)

    def _here(self, plan: Plan, jobs: Sequence[Job], steps: Steps, show: Callable[[int], None]) -> None:
        before, done = torch.get_num_threads(), 0
        torch.set_num_threads(self.threads)
        try:
            for job in jobs:
                for _ in steps(plan, job):
                    done += 1
                    show(done)
        finally:
            torch.set_num_threads(before)

    def _elsewhere(self, plan: Plan, jobs: Sequence[Job], steps: Steps, show: Callable[[int], None]) -> None:
        pool = self._started(plan)
        self._counter.value = 0
        try:
            with _deaf():
                futures: list[Future[None]] = [pool.submit(_work, steps, job) for job in jobs]
            while any(not f.done() for f in futures):
                time.sleep(0.1)
                show(self._counter.value)
            for future in as_completed(futures):
                future.result()
        except BrokenExecutor:
            raise ChildProcessError(
                explain(
                    "worker process",
                    expected="alive until its work is done",
                    found="one that ended",
                    hint='in a script, call `compare` under `if __name__ == "__main__":`; if memory ran out, '
                    "run the same comparison with fewer `workers`, it goes on with the trials that are "
                    "missing",
                )
            ) from None
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.kill()  # a cell is written whole or not at all
            raise

    def _started(self, plan: Plan) -> ProcessPoolExecutor:
        """Give processes that hold the plan: those that are there, or others in their place."""
        if self._pool is None or self._plan is not plan:
            self.__exit__()
            context = torch.multiprocessing.get_context("spawn")
            with _deaf():
                self._plan, self._counter = plan, context.Value("i", 0)
            given = (plan, self._counter, self.threads, os.getpid())
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=context, initializer=_begin, initargs=given
            )
        return self._pool


@contextmanager
def _deaf() -> Iterator[None]:
    """Begin processes that do not hear what ends this one, which a terminal tells them all, from their start.

    This process hears it at the end of the block.
    """
    if os.name != "posix":
        yield
        return
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        resource_tracker.ensure_running()  # to begin it lets some through again
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: dict[str, Any] = {}


def _begin(plan: Plan, counter: Any, threads: int, parent: int) -> None:
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)  # the parent decides
    if os.name == "posix":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    torch.set_num_threads(threads)
    keep_memory()
    _worker.update(plan=plan, counter=counter)

    def follow() -> None:  # end with the parent, even if it was killed
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _work(steps: Steps, job: Job) -> None:
    for _ in steps(_worker["plan"], job):
        with _worker["counter"].get_lock():
            _worker["counter"].value += 1
