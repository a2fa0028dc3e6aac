"""Run strategies against each other on the user's own task."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from .. import report
from ..atomic import write_atomic
from ..engine import Heartbeat
from ..engine.status import BEAT
from ..errors import wrong
from ..progress import Bar
from ..strategies import Strategy
from ..version import __version__
from . import confirming, finalists, handover, jobs, leaving, trials, verdicts
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
        out: directory for the results; one that holds the same comparison is continued.
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
    start = time.time()
    plan = Plan(
        problem,
        asked.strategies,
        asked.targets,
        list(problem.amounts()),
        numbers,
        directory,
        start + seconds if seconds else None,
        verdicts.SPENT if auto else {},
        least,
        baseline,
        confirm,
    )
    _open(plan, threads)
    with Bar("look at the rows", 1, progress, unit="pass") as bar:
        bar.watch()
        kept = directory / trials.FEATURES
        plan = replace(plan, promises=problem.promises(kept), shifts=problem.shifts(kept))
    named = [strategies] if isinstance(strategies, str | Strategy) else strategies
    plan, untrained = finalists.chosen(plan, named)
    with Heartbeat(directory) as heart, Bar("compare", plan.cells(), progress, unit="trial") as bar:
        for name, text in (keep or {}).items():
            write_atomic(directory / name, text)
        bar.watch()
        done, due = 0, 0.0

        def show(count: int) -> None:
            nonlocal due
            bar.show(done + count)
            if time.monotonic() >= due:
                heart.beat("running", "trials", done + count, bar.steps)
                due = time.monotonic() + BEAT

        work = trials.tries(plan)
        jobs.run(plan, work, trials.run_tries, workers=workers, threads=threads, show=show)
        done, options = sum(len(cells) for _, cells in work), trials.chosen(plan)
        seeds_by_cell = trials.first_seeds(plan)
        while seeds_by_cell:
            work = trials.trials(plan, options, seeds_by_cell)
            bar.extend(done + sum(len(cells) for _, cells in work), "seeds, until it is decided")
            jobs.run(plan, work, trials.run_trials, workers=workers, threads=threads, show=show)
            done += sum(len(cells) for _, cells in work)
            seeds_by_cell = {} if plan.late() else more_seeds(plan, options)
        asking = leaving.asking(plan, options)
        while not plan.late() and (ways := leaving.asked(plan, options, asking)):
            options |= {(name, amount): 0 for name in ways for amount in plan.amounts}
            seeds_by_cell = leaving.due(plan, ways)
            plan = leaving.added(plan, ways)
            work = trials.trials(plan, options, seeds_by_cell)
            bar.extend(done + sum(len(cells) for _, cells in work), "without each source")
            jobs.run(plan, work, trials.run_trials, workers=workers, threads=threads, show=show)
            done += sum(len(cells) for _, cells in work)
        if confirm and not plan.late() and (told := leader(plan, options)):
            fresh, seeds_by_cell = confirming.due(plan, *told)
            work = trials.trials(fresh, options, seeds_by_cell)
            bar.extend(done + sum(len(cells) for _, cells in work), "seeds that choose nothing")
            jobs.run(fresh, work, trials.run_trials, workers=workers, threads=threads, show=show)
    elapsed = _spent(directory) + time.time() - start
    skipped = asked.skipped | untrained
    result = summarise(plan, options, skipped, command=command, elapsed=elapsed, workers=workers)
    if result.recommended is not None and not plan.late():
        with Bar("train what is recommended", 1, progress, unit="model") as bar:
            bar.watch()
            result.data["model"] = handover.hand_over(plan, options, result.recommended)
        result.data["reasons"] = report.reasons(result.data, result.details)
        write(directory, result.data, result.details)
    report.write(directory)  # once: drawing takes longer than judging
    return Result(result.data, result.details, directory, _holder=holder, _problem=problem)


def _numbers(seeds: int | str | Sequence[int]) -> list[int]:
    if isinstance(seeds, str):
        raise wrong("`seeds`", expected='a whole number, several, or "auto"', found=f'"{seeds}"')
    return list(range(seeds)) if isinstance(seeds, int) else list(seeds)


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


def _spent(directory: Path) -> float:
    """Tell the seconds of earlier calls that came to their end."""
    details = directory / "details.json"
    return json.loads(details.read_text())["budget"]["seconds"] if details.exists() else 0.0


MARK = "comparison.json"


def _open(plan: Plan, threads: int) -> None:
    """Make the directory, or check that it holds this very comparison."""
    mark, what = plan.directory / MARK, f"`out` {plan.directory}"
    mine = {"fingerprint": plan.problem.fingerprint(), "headstart": __version__, "threads": threads}
    options = {name: [dict(one) for one in strategy.options] for name, strategy in plan.strategies.items()}
    options = json.loads(json.dumps(options))
    begun = {}
    if mark.exists():
        there = {"headstart": "0.1.0", "threads": 1} | json.loads(mark.read_text())
        begun = there.pop("options", {})
        if there != mine:
            expected = "empty, or the directory of this very comparison"
            found = "one of other data or settings"
            if there["headstart"] != __version__:
                found += f", by headstart {there['headstart']}"
            raise wrong(what, expected=expected, found=found, hint="pass another directory")
        _check_options(plan.directory, begun, options)
    elif plan.directory.exists() and any(plan.directory.iterdir()):
        raise wrong(what, expected="an empty directory", found="files in it", hint="pass another one")
    for sort in ("settings", "trials", "outputs", "models"):
        (plan.directory / sort).mkdir(parents=True, exist_ok=True)
    write_atomic(mark, json.dumps(mine | {"options": begun | options}))


def _check_options(directory: Path, begun: Mapping[str, object], options: Mapping[str, object]) -> None:
    """Refuse a name whose cells in the directory are of other settings than it has now."""
    for name in options.keys() & begun.keys():
        if options[name] != begun[name]:
            raise wrong(
                f"strategy {name!r}",
                expected=f"of the settings that it was begun with in {directory}",
                found=options[name],
                hint="give it another name, or pass another directory",
            )
