"""One strategy, one seed, in a run directory: what ``headstart fit`` does."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from ..atomic import check_regular
from ..comparison import Problem, applicable
from ..engine import Estimate, Run, evaluate
from ..engine.run import SETTINGS
from ..errors import wrong
from ..models import save
from ..records import file_hash, read_record, understood, write_record
from ..strategies import Strategy, Trial
from ..version import __version__
from .problem_file import ProblemFile, load_run

SCORES = "scores.json"
FILES = ("metrics.jsonl", "model/model.json", "model/model.safetensors")  # that scores belong to
AGAIN = "`headstart resume` makes it again"


@dataclass(frozen=True, eq=False)
class Single:
    """Hold one run that is ready to train.

    Args:
        file: with a table ``[fit]``.
        problem: its data, cut to the shots.
        strategy: what is trained.
        run: where.
    """

    file: ProblemFile
    problem: Problem
    strategy: Strategy
    run: Run

    def train(self) -> None:
        """Train, or go on; leave the model in ``model/`` and its metrics in ``scores.json``."""
        fit, task = self.file.fit, self.problem.target
        with self.run as run:
            trained = self.strategy.learn(Trial(self.problem, fit.settings, fit.seed, run=run))
            scores = evaluate(trained.net, task)
            about = {"strategy": fit.strategy, "seed": fit.seed, "settings": fit.settings}
            place = run.directory / "model"
            save(trained.net, place, kinds={task.name: task.kind}, encoding=task.encoding, notes=about)
            found = {n: {"value": e.value, "low": e.low, "high": e.high, "n": e.n} for n, e in scores.items()}
            files = {name: file_hash(run.directory / name) for name in FILES}
            write_record(run.directory / SCORES, {"scores": found, "files": files}, indent=2)


def begin(file: ProblemFile, directory: Path) -> Single:
    """Read the data and begin a run; whatever is wrong with the file is told before the directory is made.

    Args:
        file: with a table ``[fit]``.
        directory: new, empty, or a run with these very settings, which is gone on with.

    Raises:
        ValueError: if the data are wrong, or the strategy does not apply to them.
        FileExistsError: if the directory holds anything else.
    """
    problem, strategy, data = _read(file)
    settings = file.complete()
    settings["fit"]["out"] = ""
    return Single(file, problem, strategy, Run.create(directory, settings, data=data))


def reopen(directory: Path) -> Single | None:
    """Open a run to go on with it; ``None`` where it is finished, and all its files are as they were written.

    Raises:
        FileNotFoundError: if the directory holds no run.
        FileExistsError: if another process is at work in it.
        ValueError: if another release began it, which may train in another way; if its settings or its data
            have changed.
    """
    run = Run.open(directory)
    run.check_free()
    run.settings()  # which have not been altered
    if run.status().state == "done" and _whole(directory):
        return None
    began = run.environment()["headstart"] if run.has_begun() else __version__
    if began != __version__:
        hint = "go on with that release, or begin it anew in another directory (`--out`)"
        raise wrong(
            f"run `{directory}`", expected=f"begun by headstart {__version__}", found=began, hint=hint
        )
    file = load_run(run.directory / SETTINGS)
    problem, strategy, data = _read(file)
    run.begin(data)
    return Single(file, problem, strategy, run)


def scores(directory: Path) -> dict[str, Estimate]:
    """Read the measures of a finished run, once it is seen that the files that it left are as it left them.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if a file is damaged; it is told which.
    """
    found = read_record(directory / SCORES, hint=AGAIN)
    with understood(directory / SCORES, hint=AGAIN):
        for name, mark in found["files"].items():
            path = directory / name
            check_regular(path)
            if file_hash(path) != mark:
                raise wrong(f"`{path}`", expected="as the run left it", found="altered", hint=AGAIN)
        return {
            name: Estimate(float(e["value"]), float(e["low"]), float(e["high"]), int(e["n"]))
            for name, e in found["scores"].items()
        }


def _whole(directory: Path) -> bool:
    """Tell whether the files of a finished run are as it left them; warn of one that is not."""
    try:
        scores(directory)
    except (OSError, ValueError) as error:
        warnings.warn(f"{error}; it is made again", UserWarning, stacklevel=3)
        return False
    return True


def _read(file: ProblemFile) -> tuple[Problem, Strategy, dict[str, str]]:
    problem, strategy = file.problem(), file.strategy()
    if reason := problem.applies(strategy, problem.target.name):
        expected, found = "a strategy that applies to the problem", f'"{strategy.name}": {reason}'
        hint = f"those that apply: {', '.join(applicable(problem).strategies)}"
        raise wrong("`fit.strategy`", expected=expected, found=found, hint=hint)
    return problem.cut(max(problem.counts(), default=None), file.fit.seed), strategy, problem.hashes()
