"""Run strategies against each other on the user's own task."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .. import report
from ..atomic import write_atomic
from ..engine import Heartbeat
from ..errors import wrong
from ..progress import Bar
from ..strategies import Strategy
from . import cells, confirming, finalists, handover, jobs, leaving, opening, trials, verdicts
from .judging import leader, more_seeds
from .plan import Plan, applicable, check_picklable
from .question import Question
from .result import Result
from .summary import summarise, write


def compare(
    problem: Question,
    strategies: str | Strategy | Sequence[str | Strategy] = "auto",
    seeds: int | Sequence[int] | Literal["auto"] | None = None,
    *,
    baseline: str = "",
    least: float = verdicts.LEAST,
    confirm: bool = False,
    out: str | Path | None = None,
    workers: int = 1,
    threads: int = 1,
    seconds: float | None = None,
    command: str = "",
    keep: Mapping[str, str] | None = None,
    progress: bool | None = None,
) -> Result:
    """Measure which way of reuse is best for a task, by how much, and whether it did harm.

    Every strategy sees the same rows at the same seed, chooses its settings with the same small
    budget and never on the test rows, and is compared with the best learner that reuses nothing. Those
    learners always run. Verdicts hold for all strategies together, over seeds and test rows.

    Args:
        problem: the targets, and what there is to start from.
        strategies: ``"auto"`` for all that apply; or names; or strategies as values, the caller's own
            among them.
        seeds: how many, or which; each draws its own weights and pretraining, and with ``shots`` its own
            labelled rows. ``"auto"`` takes 5, then 8, then 12 for what is not decided yet. Left out it
            is ``"auto"`` where ``strategies`` is, else 5. Below 3 nothing is decided.
        baseline: a strategy that gains are measured against in place of the best without reuse, for studies.
        least: the smallest gain that matters: .01 is a point of a bounded measure, or of an error ratio.
        confirm: choose on half of the test rows, and measure the gain of what is recommended on the other
            half with 5 fresh seeds: the one number that choosing the best of many does not flatter.
        out: directory for the results and their report; one that holds the same comparison is continued.
            Without it they last as long as the result, which draws a report where it is asked to.
        workers: processes; above 1 a script needs ``if __name__ == "__main__":``. Results do not depend
            on how many.
        threads: of each process. Sums over more threads differ in their last digits, so numbers stay the
            same only for the same number; small nets gain little from more than one.
        seconds: stop starting trials after this time; what is there is reported.
        command: how to repeat it, for the report.
        keep: texts to be kept beside the results, by the names of their files: a problem file, a command.
        progress: show progress; by default on a terminal, after two seconds.

    Returns:
        A ``Result``: ``table()``, ``report(path)``, ``best.save(directory)``, ``to_dict()``.

    Raises:
        ValueError: for an unknown strategy, one that other processes cannot import, no seeds, no time, or
            a directory that holds something else, or
            holds a strategy of the same name with other settings.
        FileExistsError: if another process is at work in the directory.
        ChildProcessError: if a worker process ended before its work was done.

    Example:
        >>> import torch
        >>> import headstart as hs
        >>> g = torch.Generator().manual_seed(0)
        >>> y = torch.arange(40) % 2
        >>> x = torch.randn(40, 4, generator=g) + y[:, None]
        >>> train, test = (hs.tasks.Labelled(x[at], y[at]) for at in (slice(20), slice(20, 40)))
        >>> problem = hs.Problem(hs.Task("new", hs.tasks.Multiclass(2), train, test=test), shots=[5])
        >>> result = hs.compare(problem, "scratch", seeds=2)
        >>> row = next(row for row in result.rows if row["strategy"] == "scratch")
        >>> len(row["seeds"]), row["verdict"]
        (2, None)
    """
    if not hasattr(problem, "further"):
        hint = "make one by `hs.Problem(target=task)`, or of a file by `load_problem(path).problem()`"
        found = type(problem).__name__
        raise wrong("`problem`", expected="a `Problem`", found=found, hint=hint, error=TypeError)
    everything = strategies == "auto" or (isinstance(strategies, Sequence) and "auto" in strategies)
    auto = seeds == "auto" or (seeds is None and everything)
    numbers = _numbers(max(verdicts.SPENT) if auto else 5 if seeds is None else seeds)
    _check(seeds, numbers, workers, threads, seconds, least)
    asked = applicable(problem, strategies, baseline=baseline)
    if workers > 1:
        check_picklable(asked.strategies)
    problem.check()
    holder = _Holder() if out is None else None
    directory = Path(holder.path if holder else out)  # type: ignore[arg-type]
    plan = Plan(
        problem,
        asked.strategies,
        asked.targets,
        list(problem.amounts()),
        numbers,
        directory,
        deadline=time.monotonic() + seconds if seconds else None,
        looks=verdicts.SPENT if auto else {},
        least=least,
        baseline=baseline,
        confirm=confirm,
    )
    named = [strategies] if isinstance(strategies, str | Strategy) else strategies
    heart = Heartbeat(directory)
    plan = opening.opened(plan, heart, threads)
    with heart:
        for name, text in (keep or {}).items():
            write_atomic(directory / name, text)
        cells.mend(plan)
        with Bar("look at the rows", 1, progress, unit="pass") as bar:
            bar.watch()
            kept = directory / trials.FEATURES
            plan = replace(plan, promises=problem.promises(kept), shifts=problem.shifts(kept))
        plan, untrained = finalists.chosen(plan, named)
        with (
            Bar("compare", plan.cells(), progress, unit="trial") as bar,
            jobs.Processes(workers, threads) as processes,
        ):
            plan, options = _run(plan, _Work(heart, bar, processes))
        result = summarise(
            plan,
            options,
            asked.skipped | untrained,
            command=command,
            elapsed=heart.spent(),
            workers=workers,
        )
        if result.recommended is not None and not plan.late():
            with Bar("train what is recommended", 1, progress, unit="training") as bar:
                bar.watch()
                result.data["model"] = handover.hand_over(plan, options, result.recommended, bar)
            result.data["reasons"] = report.reasons(result.data, result.details)
        result.details["budget"]["seconds"] = heart.spent()
        result.details["files"] = cells.manifest(plan, keep or {})
        write(directory, result.data, result.details)
        if out is not None:  # drawing takes longer than judging: once, and where it stays
            report.write(directory)
    return Result(result.data, result.details, directory, _holder=holder, _problem=problem)


@dataclass
class _Work:
    """Run jobs, count the cells that are done, and tell how far they are."""

    heart: Heartbeat
    bar: Bar
    processes: jobs.Processes
    done: int = 0

    def run(self, plan: Plan, work: Sequence[trials.Job], steps: jobs.Steps, why: str = "") -> None:
        """Run the cells of some jobs; ``why`` they are more than was said before, where they are."""
        count = trials.size(work)
        if why:
            self.bar.extend(self.done + count, why)
        self.processes.run(plan, work, steps, self._show)
        self.done += count

    def _show(self, count: int) -> None:
        self.bar.show(self.done + count)
        self.heart.tell("trials", self.done + count, self.bar.steps)


def _run(plan: Plan, work: _Work) -> tuple[Plan, trials.Options]:
    """Try settings, run the trials, and add seeds and ways as they are needed."""
    work.bar.watch()
    work.run(plan, trials.tries(plan), trials.run_tries)
    options, seeds = trials.chosen(plan), trials.first_seeds(plan)
    while seeds:
        due = trials.trials(plan, options, seeds, work.processes.workers)
        work.run(plan, due, trials.run_trials, "seeds, until it is decided")
        seeds = {} if plan.late() else more_seeds(plan, options)
    asking = leaving.asking(plan, options)
    while not plan.late() and (ways := leaving.asked(plan, options, asking)):
        options |= {(name, amount): 0 for name in ways for amount in plan.amounts}
        seeds = leaving.due(plan, ways)
        plan = leaving.added(plan, ways)
        work.run(plan, trials.tries_without(plan, ways), trials.run_tries, "without each source")
        due = trials.trials(plan, options, seeds, work.processes.workers)
        work.run(plan, due, trials.run_trials, "without each source")
    if plan.confirm and not plan.late() and (told := leader(plan, options)):
        fresh, seeds = confirming.due(plan, *told)
        due = trials.trials(fresh, options, seeds, work.processes.workers)
        work.run(fresh, due, trials.run_trials, "seeds that choose nothing")
    return plan, options


def _numbers(seeds: int | str | Sequence[int]) -> list[int]:
    if isinstance(seeds, str):
        raise wrong("`seeds`", expected='a whole number, several, or "auto"', found=f'"{seeds}"')
    several = list(seeds) if isinstance(seeds, Iterable) else []
    if not isinstance(seeds, int) and not (several and all(hasattr(s, "__index__") for s in several)):
        expected = 'a whole number, several, or "auto"'
        raise wrong("`seeds`", expected=expected, found=repr(seeds), error=TypeError)
    return list(range(seeds)) if isinstance(seeds, int) else several


def _check(
    seeds: object,
    numbers: Sequence[int],
    workers: int,
    threads: int,
    seconds: float | None,
    least: float,
) -> None:
    if not numbers or len(set(numbers)) != len(numbers):
        raise wrong("`seeds`", expected="at least one, and distinct", found=repr(seeds))
    for name, value in (("workers", workers), ("threads", threads)):
        if value < 1:
            raise wrong(f"`{name}`", expected="at least 1", found=value)
    if seconds is not None and not seconds > 0:
        raise wrong("`seconds`", expected="above 0, or None", found=seconds)
    if not 0 < least < 1:
        raise wrong("`least`", expected="above 0 and below 1", found=least)


class _Holder:
    """Keep a temporary directory for as long as this object, or the process, lives."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="headstart-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
