"""Run strategies against each other on the user's own task.

A comparison is a directory of small files, one per *cell*: a setting tried, or a trial scored. A
cell that has its file is never run again, so a comparison that was killed goes on with the cells
that are missing. Cells of one seed share their pretrained nets and run in one process, each on one
thread, so results do not depend on the number of processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import __version__
from ..datasets.splits import count_duplicates
from ..engine import Run, predict, score, write_atomic
from ..engine.phase import BEAT
from ..errors import wrong
from ..models import backbones, count_parameters, save
from ..progress import Bar
from ..tasks import Inputs, Labelled, Task
from . import choose
from .problem import Problem, check_numbers
from .result import Result, summarise
from .table import STRATEGIES, applicable
from .trial import Memory, Trial

Cell = tuple[str, int | None, int]  # strategy, shots, and the option's or the seed's number
CURVE_POINTS = 200


@dataclass(frozen=True, eq=False)
class _Plan:
    """What every process needs to know."""

    problem: Problem
    names: Sequence[str]
    shots: Sequence[int | None]
    seeds: Sequence[int]
    directory: Path
    deadline: float | None

    def options(self, name: str) -> int:
        return min(self.problem.budget.options, len(STRATEGIES[name].options))

    def file(self, kind: str, cell: Cell, repeat: int = 0) -> Path:
        name, count, number = cell
        amount = "all" if count is None else count
        return (
            self.directory
            / kind
            / f"{name}-{amount}-{number}{f'-{repeat}' if kind == 'settings' else ''}.json"
        )

    def late(self) -> bool:
        return self.deadline is not None and time.time() > self.deadline

    def tuned(self, name: str, count: int | None) -> bool:
        """Tell whether options are tried before the trials (else within each, or not at all)."""
        way = choose.way(self.problem, STRATEGIES[name], count)
        return self.options(name) > 1 and way != choose.DEFAULTS and not self.within(name, count)

    def within(self, name: str, count: int | None) -> bool:
        """Tell whether each trial chooses for itself, on a part of its own rows."""
        way = choose.way(self.problem, STRATEGIES[name], count)
        return way == choose.HELD_OUT and count is not None and self.options(name) > 1


def compare(
    problem: Problem,
    strategies: str | Sequence[str] = "auto",
    seeds: int | Sequence[int] = 5,
    *,
    out: str | Path | None = None,
    workers: int = 1,
    seconds: float | None = None,
    command: str = "",
    progress: bool | None = None,
) -> Result:
    """Measure which way of reuse is best for a task, by how much, and whether it did harm.

    Every strategy sees the same rows at the same seed, chooses its settings with the same small
    budget and never on the test rows, and is compared with training from scratch seed by seed.

    Args:
        problem: the target, and what there is to start from.
        strategies: ``"auto"`` for all that apply, or names.
        seeds: how many, or which; each draws its own labelled rows, weights and pretraining.
        out: directory for the results; one that holds the same comparison is continued.
        workers: processes; above 1 a script needs ``if __name__ == "__main__":``.
        seconds: stop starting trials after this time; what is there is reported.
        command: how to repeat it, for the report.
        progress: show progress; by default on a terminal, after two seconds.

    Returns:
        A ``Result``: ``table()``, ``report(path)``, ``best.save(directory)``, ``to_dict()``.

    Raises:
        ValueError: for an unknown strategy, no seeds, no time, or a directory that holds something else.
        FileExistsError: if another process is at work in the directory.
        ChildProcessError: if a worker process ended before its work was done.

    Example:
        >>> import headstart as hs
        >>> g = torch.Generator().manual_seed(0)
        >>> y = torch.arange(40) % 2
        >>> x = torch.randn(40, 4, generator=g) + y[:, None]
        >>> train, test = (hs.tasks.Labelled(x[at], y[at]) for at in (slice(20), slice(20, 40)))
        >>> problem = hs.Problem(hs.Task("new", hs.tasks.Multiclass(2), train, test=test), shots=[5])
        >>> result = hs.compare(problem, "scratch", seeds=2)
        >>> result.rows[0]["strategy"], len(result.rows[0]["seeds"])
        ('scratch', 2)
    """
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not numbers or len(set(numbers)) != len(numbers):
        raise wrong("`seeds`", expected="at least one, and distinct", found=repr(seeds))
    if workers < 1:
        raise wrong("`workers`", expected="at least 1", found=workers)
    if seconds is not None and not seconds > 0:
        raise wrong("`seconds`", expected="above 0, or None", found=seconds)
    names, skipped = applicable(problem, strategies)
    shots: list[int | None] = [*problem.counts()] if problem.labelled() else []
    shots = shots or [None]
    for count in shots:
        choose.cut(problem, count, 0)  # a class that is too small is told before anything runs
    check_numbers(problem.target, "test")
    _warn_of_duplicates(problem)
    holder = _Holder() if out is None else None
    directory = Path(holder.path if holder else out)  # type: ignore[arg-type]
    start = time.time()
    plan = _Plan(problem, names, shots, numbers, directory, start + seconds if seconds else None)
    _open(plan)
    counted, due = Bar("compare", _cells(plan), progress, unit="trial"), 0.0
    with Run(directory) as run, counted as bar:  # a status, for `headstart runs` and other processes

        def show(done: int) -> None:
            nonlocal due
            bar.show(done)
            if time.monotonic() >= due:
                run.beat("running", "trials", done, bar.steps)
                due = time.monotonic() + BEAT

        chosen, tried = _settings(plan, workers, show)
        _run(plan, workers, show, tried, _trial_jobs(plan, chosen), _trials)
    result = summarise(plan, chosen, skipped, command=command, elapsed=time.time() - start, workers=workers)
    return Result(result.data, result.details, directory, _holder=holder)


class _Holder:
    """Keep a temporary directory for as long as this object, or the process, lives."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="headstart-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _warn_of_duplicates(problem: Problem) -> None:
    """Warn where a test row is trained on: among the target's rows, unless its reader told, or a source's."""
    target = problem.target
    if not isinstance(target.test, Labelled):
        return
    rows = {t.name: t.train.x for t in (target, *problem.sources) if isinstance(t.train, Labelled)}
    told = {target.name: target.encoding.duplicates if target.encoding else 0}
    for name, both in zip(rows, count_duplicates(target.test.x, list(rows.values())), strict=True):
        if both > told.get(name, 0):
            warnings.warn(
                f"{both} of {len(target.test)} test rows of {target.name!r} are among the training rows "
                f"of {name!r}; scores may be too high; drop the duplicates",
                UserWarning,
                stacklevel=3,
            )


def fingerprint(problem: Problem) -> str:
    """Hash what a result depends on, so that a directory is only ever continued by its own comparison."""
    digest = hashlib.sha256(__version__.encode())  # another release may train in another way
    for task in (problem.target, *problem.sources):
        digest.update(f"{task.name} {task.kind}".encode())
        for data in (task.train, task.valid, task.test, task.unlabelled):
            if isinstance(data, Labelled | Inputs):
                parts = [data.x] if isinstance(data.x, Tensor) else list(data.x.values())
                parts += [data.y] if isinstance(data, Labelled) else []
                for part in parts:
                    digest.update(part.contiguous().numpy().tobytes())
    shown = backbones.start(problem.backbone).fingerprint()
    moves = f"{problem.rotations} {problem.shift}"
    digest.update(f"{shown} {problem.weights} {dict(problem.settings)} {moves} {problem.budget}".encode())
    return digest.hexdigest()


def _open(plan: _Plan) -> None:
    """Make the directory, or check that it holds this very comparison."""
    mark = plan.directory / "comparison.json"
    identity = fingerprint(plan.problem)
    if mark.exists():
        if json.loads(mark.read_text())["fingerprint"] != identity:
            raise wrong(
                f"`out` {plan.directory}",
                expected="empty, or the directory of this very comparison",
                found="one of other data or settings",
                hint="pass another directory",
            )
    elif plan.directory.exists() and any(plan.directory.iterdir()):
        raise wrong(
            f"`out` {plan.directory}",
            expected="an empty directory",
            found="files in it",
            hint="pass another one",
        )
    for kind in ("settings", "trials", "models"):
        (plan.directory / kind).mkdir(parents=True, exist_ok=True)
    write_atomic(mark, json.dumps({"fingerprint": identity}))


# What is run: jobs, each the cells of one seed.

Job = tuple[int, list[Any]]


def _cells(plan: _Plan) -> int:
    tried = sum(
        plan.options(n) * plan.problem.budget.repeats
        for n in plan.names
        for c in plan.shots
        if plan.tuned(n, c)
    )
    return tried + len(plan.names) * len(plan.shots) * len(plan.seeds)


def _settings(
    plan: _Plan, workers: int, show: Callable[[int], None]
) -> tuple[dict[tuple[str, int | None], int], int]:
    """Try the options and choose one for each strategy and number of shots; tell how many were tried."""
    repeats = range(plan.problem.budget.repeats)
    jobs: list[Job] = []
    for repeat in repeats:
        cells: list[Any] = []
        for count in plan.shots:
            for name in plan.names:
                if plan.tuned(name, count):
                    cells += [(name, count, option) for option in range(plan.options(name))]
        jobs.append((repeat, cells))
    _run(plan, workers, show, 0, jobs, _tries)
    chosen: dict[tuple[str, int | None], int] = {}
    for count in plan.shots:
        for name in plan.names:
            files = [
                [plan.file("settings", (name, count, o), r) for r in repeats]
                for o in range(plan.options(name))
            ]
            done = plan.tuned(name, count) and all(f.exists() for row in files for f in row)
            chosen[name, count] = choose.best([[_pair(f) for f in row] for row in files]) if done else 0
    return chosen, sum(len(cells) for _, cells in jobs)


def _pair(file: Path) -> tuple[float, float]:
    value, guard = json.loads(file.read_text())["score"]
    return value, guard


def _trial_jobs(plan: _Plan, chosen: Mapping[tuple[str, int | None], int]) -> list[Job]:
    return [(seed, [(n, c, chosen[n, c]) for c in plan.shots for n in plan.names]) for seed in plan.seeds]


def _tries(plan: _Plan, job: Job) -> Iterator[None]:
    """Score options on whatever stands in for the target's test rows."""
    repeat, cells = job
    memory: dict[str, Memory] = {}
    for cell in cells:
        file = plan.file("settings", cell, repeat)
        if not file.exists() and not plan.late():
            name, count, option = cell
            strategy = STRATEGIES[name]
            # Pretraining depends on the sources alone: pseudo-targets of all shots share it.
            shared = memory.setdefault(choose.way(plan.problem, strategy, count), Memory())
            try:
                value = choose.judge(plan.problem, strategy, option, count, repeat, shared)
            except FloatingPointError:  # diverged: the worst there is
                value = (float("-inf"), 0.0)
            write_atomic(file, json.dumps({"settings": dict(strategy.options[option]), "score": value}))
        yield


def _trials(plan: _Plan, job: Job) -> Iterator[None]:
    """Train and score, touching the test rows once per trial."""
    seed, cells = job
    memory = Memory()
    for name, count, option in cells:
        file = plan.file("trials", (name, count, seed))
        if not file.exists() and not plan.late():
            write_atomic(file, json.dumps(_trial(plan, name, count, option, seed, memory)))
        yield


def _trial(
    plan: _Plan, name: str, count: int | None, option: int, seed: int, memory: Memory
) -> dict[str, Any]:
    strategy, problem = STRATEGIES[name], choose.cut(plan.problem, count, seed)
    record: dict[str, Any] = {"strategy": name, "shots": count, "seed": seed}
    try:
        if plan.within(name, count):
            option = _choose_within(problem, name, seed, plan.options(name))
        start, spared = time.perf_counter(), memory.spared
        settings = dict(strategy.options[option])
        trained = strategy.run(Trial(problem, settings, seed, memory))
    except FloatingPointError as error:
        return record | {"score": None, "error": str(error), "settings": dict(strategy.options[option])}
    record["seconds"] = time.perf_counter() - start + memory.spared - spared
    record["settings"] = settings
    record["trained_parameters"] = count_parameters(trained.net)
    assert problem.target.test is not None
    record["score"] = score(trained.net, problem.target, problem.target.test)
    if seed == plan.seeds[0]:
        record["curves"] = {phase: _thin(values) for phase, values in trained.curves.items()}
        save(  # shots rise, so the model with the most labels is what stays
            trained.net,
            plan.directory / "models" / name,
            kinds={problem.target.name: problem.target.kind},
            encoding=problem.target.encoding,
            notes={"strategy": name, "shots": count, "seed": seed, "settings": settings},
        )
        record["confusion"] = _confusion(trained.net, problem.target)
    return record


def _choose_within(problem: Problem, name: str, seed: int, options: int) -> int:
    """Choose on a quarter of the trial's own rows."""
    part, held = choose.hold_out(problem, seed)
    memory, scores = Memory(), []
    for option in range(options):
        try:
            net = STRATEGIES[name].run(Trial(part, STRATEGIES[name].options[option], seed, memory)).net
            scores.append([(score(net, problem.target, held), 0.0)])
        except FloatingPointError:  # diverged: the worst there is
            scores.append([(float("-inf"), 0.0)])
    return choose.best(scores)


def _thin(values: Sequence[float]) -> list[float]:
    step = max(1, len(values) // CURVE_POINTS)
    return [float(f"{v:.5g}") for v in values[::step]]


def _confusion(net: nn.Module, task: Task) -> list[list[int]] | None:
    """Count test rows by class (rows of the matrix) and answer (columns)."""
    if not task.kind.exclusive or not isinstance(task.test, Labelled) or task.kind.outputs > 30:
        return None
    logits = predict(net, task.name, task.test.x, progress=False)  # type: ignore[arg-type]
    answer = logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()
    known = task.test.present()
    size = len(task.kind.classes)
    pairs = task.test.y[known].long() * size + answer[known]
    return pairs.bincount(minlength=size * size).reshape(size, size).tolist()


# How it is run: here, or in several processes.


def _run(
    plan: _Plan,
    workers: int,
    show: Callable[[int], None],
    before: int,
    jobs: list[Job],
    steps: Callable[[_Plan, Job], Iterator[None]],
) -> None:
    """Run the jobs, ``before`` cells being done already."""
    jobs = [job for job in jobs if job[1]]
    if workers == 1 or len(jobs) == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for job in jobs:
                for _ in steps(plan, job):
                    before += 1
                    show(before)
        finally:
            torch.set_num_threads(threads)
        return
    context = torch.multiprocessing.get_context("spawn")
    counter = context.Value("i", 0)
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(plan, counter, os.getpid())
    )
    try:
        futures: list[Future[None]] = [pool.submit(_work, steps, job) for job in jobs]
        while any(not f.done() for f in futures):
            time.sleep(0.1)
            show(before + counter.value)
        for future in as_completed(futures):
            future.result()
    except BrokenExecutor:
        raise wrong(
            "worker process",
            expected="alive until its work is done",
            found="one that ended",
            hint='in a script, call `compare` under `if __name__ == "__main__":`; if memory ran out, '
            "run the same comparison with fewer `workers`, it goes on with the trials that are missing",
            error=ChildProcessError,
        ) from None
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()  # a cell is written whole or not at all
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker: dict[str, Any] = {}


def _begin(plan: _Plan, counter: Any, parent: int) -> None:
    import signal
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    torch.set_num_threads(1)
    _worker.update(plan=plan, counter=counter)

    def follow() -> None:  # end with the parent, even if it was killed
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _work(steps: Callable[[_Plan, Job], Iterator[None]], job: Job) -> None:
    for _ in steps(_worker["plan"], job):
        with _worker["counter"].get_lock():
            _worker["counter"].value += 1
