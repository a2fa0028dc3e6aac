"""One strategy, one seed, in a run directory: what ``headstart fit`` does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..atomic import write_atomic
from ..comparison import Problem, applicable
from ..engine import Run, evaluate
from ..errors import wrong
from ..models import save
from ..strategies import Strategy, Trial
from ..version import __version__
from .problem_file import ProblemFile, load_run


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
            write_atomic(run.directory / "scores.json", json.dumps(found, indent=2))


def begin(file: ProblemFile, directory: Path) -> Single:
    """Read the data and begin a run; whatever is wrong with the file is told before the directory is made.

    Args:
        file: with a table ``[fit]``.
        directory: new, empty, or a run with these very settings, which is gone on with.

    Raises:
        ValueError: if the data are wrong, or the strategy does not apply to them.
        FileExistsError: if the directory holds anything else.
    """
    problem, strategy = _read(file)
    settings = file.complete()
    settings["fit"]["out"] = ""
    return Single(file, problem, strategy, Run.create(directory, settings))


def reopen(directory: Path) -> Single | None:
    """Open a run to go on with it; ``None`` where it is finished.

    Raises:
        FileNotFoundError: if the directory holds no run.
        FileExistsError: if another process is at work in it.
        ValueError: if another release began it, which may train in another way.
    """
    run = Run.open(directory)
    run.check_free()
    if run.status().state == "done":
        return None
    began = json.loads((run.directory / "environment.json").read_bytes()).get("headstart")
    if began != __version__:
        hint = "go on with that release, or begin it anew in another directory (`--out`)"
        raise wrong(
            f"run `{directory}`", expected=f"begun by headstart {__version__}", found=began, hint=hint
        )
    file = load_run(run.directory / "run.toml")
    return Single(file, *_read(file), run)


def _read(file: ProblemFile) -> tuple[Problem, Strategy]:
    problem, strategy = file.problem(), file.strategy()
    if reason := problem.applies(strategy, problem.target.name):
        expected, found = "a strategy that applies to the problem", f'"{strategy.name}": {reason}'
        hint = f"those that apply: {', '.join(applicable(problem).strategies)}"
        raise wrong("`fit.strategy`", expected=expected, found=found, hint=hint)
    return problem.cut(max(problem.counts(), default=None), file.fit.seed), strategy
