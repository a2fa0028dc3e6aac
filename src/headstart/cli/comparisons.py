"""Commands that tell which way of reuse is best: ``demo``, ``compare``, ``rank``, ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Out, Problem, Set, SkipBroken, Workers, columns, resumable

if TYPE_CHECKING:
    from ..strategies import Result
    from ..strategies.files import ProblemFile

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory of a comparison.", show_default=False)
]
Strategies = Annotated[
    str | None,
    typer.Option(help='Names with commas between, or "auto" for all that apply.', show_default=False),
]
Seeds = Annotated[
    int | None, typer.Option(min=1, help="Seeds, each with its own labelled rows.", show_default=False)
]
Seconds = Annotated[float | None, typer.Option(help="Start no trial after this time.", show_default=False)]

DEMO = Path(__file__).with_name("demo.toml")


def demo(
    out: Out = Path("runs/demo"), seeds: Seeds = None, workers: Workers = None, overrides: Set = None
) -> None:
    """Compare on real digits that ship with scikit-learn; a report in a few minutes."""
    import os

    typer.echo("The new task: tell the digits 5 to 9 apart, with 1 or 5 labelled scans of each.")
    typer.echo("What there is to start from: labelled scans of the digits 0 to 4.")
    typer.echo(f"Each strategy runs with several seeds on the same rows; the report comes into {out}.\n")
    options = [*(overrides or []), *([f"compare.seeds={seeds}"] if seeds else [])]
    words = [
        "demo",
        *(["--out", out] if out != Path("runs/demo") else []),
        *(["--seeds", seeds] if seeds else []),
        *(["--workers", workers] if workers else []),
    ]
    words += [word for override in overrides or [] for word in ("--set", override)]
    assert out is not None
    _compare(DEMO, options, out, workers or os.cpu_count() or 1, [str(w) for w in words])


def compare(
    problem: Problem,
    strategies: Strategies = None,
    seeds: Seeds = None,
    out: Out = None,
    workers: Workers = None,
    seconds: Seconds = None,
    skip_broken: SkipBroken = False,
    overrides: Set = None,
) -> None:
    """Measure which way of reuse is best for your task, by how much, and whether any did harm.

    The same command goes on with a comparison that was interrupted.
    """
    options = list(overrides or [])
    words = ["compare", str(problem)]
    if strategies is not None:
        names = [name.strip() for name in strategies.split(",")]
        options.append(f"compare.strategies={names if names != ['auto'] else 'auto'}")
        words += ["--strategies", strategies]
    if seeds is not None:
        options.append(f"compare.seeds={seeds}")
        words += ["--seeds", str(seeds)]
    if seconds is not None:
        options.append(f"compare.seconds={seconds}")
        words += ["--seconds", str(seconds)]
    words += ["--out", str(out)] if out else []
    words += ["--workers", str(workers)] if workers else []
    words += ["--skip-broken"] if skip_broken else []
    words += [word for override in overrides or [] for word in ("--set", override)]
    _compare(problem, options, out, workers, words, skip_broken)


def _compare(
    path: Path,
    options: list[str],
    out: Path | None,
    workers: int | None,
    words: list[str],
    skip_broken: bool = False,
) -> None:
    import shlex

    from .. import strategies
    from ..strategies.files import load_problem
    from ..strategies.problem import asked

    file = load_problem(path, options, skip_broken=skip_broken)
    settings = file.compare
    directory = out or (file.base / settings.out if settings.out else Path("runs") / file.name)
    problem = file.problem()
    typer.echo(asked(problem.target))
    _, skipped = strategies.applicable(problem, settings.strategies)
    for reason in dict.fromkeys(skipped.values()):
        typer.echo(f"skipped {', '.join(n for n in skipped if skipped[n] == reason)}: {reason}")
    with resumable(*words):
        result = strategies.compare(
            problem,
            settings.strategies,
            settings.seeds,
            out=directory,
            workers=workers or settings.workers,
            seconds=settings.seconds,
            command=shlex.join(["headstart", *words]),
        )
    _finish(file, result)


def _finish(file: ProblemFile, result: Result) -> None:
    import shlex

    from ..engine import to_toml, write_atomic

    write_atomic(result.directory / "problem.toml", to_toml(file.complete()))
    typer.echo(f"\n{result.table()}\n")
    typer.echo(f"Report: {result.directory / 'report.html'}")
    if result.recommended is not None and result.best.directory.exists():
        model = result.best.directory
        words = ["headstart", "predict", str(model), _from_here(file), "-o", "predictions.csv"]
        typer.echo(f"Model:  {model}\nUse it: {shlex.join(words)}")


def _from_here(file: ProblemFile) -> str:
    """Give the target's data reference as it reads from the working directory."""
    from ..datasets.references import reads_files

    data = file.settings.target.data
    reader, colon, path = data.partition(":")
    here = not reads_files(data) or file.base.resolve() == Path.cwd()
    return data if here else f"{reader}{colon}{file.base / path}"


def report(directory: Directory) -> None:
    """Write the report of a comparison again."""
    from ..strategies import Result

    typer.echo(Result.load(directory).report(directory / "report.html"))


def rank(
    problem: Problem,
    seed: Annotated[int, typer.Option(min=0, help="Of the labelled rows and weights.")] = 0,
    skip_broken: SkipBroken = False,
    overrides: Set = None,
) -> None:
    """Score each source and backbone for the target before any training on it.

    LogME is the evidence of the target's labels given the features, LEEP the likelihood of the labels
    given the source classes that the source's head sees in the rows; higher is better for both.
    """
    from ..strategies.files import load_problem
    from ..strategies.rank import rank as ranked

    file = load_problem(problem, overrides or [], skip_broken=skip_broken)
    rows = ranked(file.problem(), seed)

    def shown(value: Any) -> str:
        return "-" if value is None else f"{value:.4f}"

    typer.echo(
        columns([["start", "logme", "leep"], *([r.start, shown(r.logme), shown(r.leep)] for r in rows)])
    )
