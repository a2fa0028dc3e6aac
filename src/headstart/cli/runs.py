"""Single runs, and what is on disk: ``fit``, ``resume``, ``runs``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import unknown, wrong
from .options import AllowCode, Device, Out, Set, SkipBroken, columns, estimates, resumable, say

app = typer.Typer(help="List runs and comparisons, show one, or compare two.", rich_markup_mode=None)
RunFile = Annotated[
    Path, typer.Argument(metavar="RUN.toml", help="A problem file with a table [fit].", show_default=False)
]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a run.", show_default=False)]
Root = Annotated[Path, typer.Option(help="Where runs lie.")]
Below = Annotated[Path | None, typer.Option("--root", help="Where runs lie.", show_default=False)]
Id = Annotated[str, typer.Argument(metavar="ID", help="A run's path below the root.", show_default=False)]


def fit(
    run: RunFile,
    out: Out = None,
    device: Device = None,
    skip_broken: SkipBroken = False,
    allow_code: AllowCode = False,
    overrides: Set = None,
) -> None:
    """Train one strategy in a run directory, with losses, checkpoints and a model.

    The same command, or `headstart resume`, goes on with a run that was interrupted.
    """
    from ..problems import load_run
    from ..problems.single import begin

    changes = [*(overrides or []), *([f"compare.device={device}"] if device else [])]
    file = load_run(run, changes, skip_broken=skip_broken, allow_code=allow_code)
    directory = out or (file.base / file.fit.out if file.fit.out else Path("runs") / file.name)
    single = begin(file, directory)
    with resumable("resume", directory):
        single.train()
    _show_end(directory)


def resume(directory: Directory) -> None:
    """Go on with a run from its last checkpoint, or with a comparison from the trials that are missing.

    It ends as if it had never stopped.
    """
    from ..problems.single import reopen
    from .comparisons import resume_comparison

    if (directory / "comparison.json").is_file():
        resume_comparison(directory)
        return
    if not (directory / "run.toml").is_file():
        expected, found = "the directory of a run or a comparison", "no run.toml and no comparison.json in it"
        raise wrong(f"`{directory}`", expected=expected, found=found, error=FileNotFoundError)
    if (single := reopen(directory)) is None:
        say(f"{directory} is finished.")
    else:
        with resumable("resume", directory):
            single.train()
    _show_end(directory)


def _show_end(directory: Path) -> None:
    from ..problems.single import scores

    say(estimates(scores(directory), "test rows"))
    say(f"Model: {directory / 'model'}")


# What is on disk.


def _json(path: Path) -> dict[str, Any]:
    from ..records import read_json

    return read_json(path) if path.exists() else {}


def _scores(directory: Path) -> dict[str, float]:
    """Read the measures of a run, if it has come to them."""
    from ..problems.single import SCORES, scores

    found = scores(directory) if (directory / SCORES).exists() else {}
    return {name: value.value for name, value in found.items()}


def _directories(root: Path) -> list[Path]:
    """Find runs and comparisons, by path; what a check ran belongs to its comparison."""
    found = (path.parent for path in root.rglob("status.json") if _is_run(path.parent))
    return sorted(path for path in found if not (path.parent.name == "check" and _is_run(path.parents[1])))


def _is_run(directory: Path) -> bool:
    """Tell a run or a comparison, which say how they are, from a folder with a file of the same name."""
    marks = ("run.toml", "comparison.json")
    return (directory / "status.json").is_file() and any((directory / mark).is_file() for mark in marks)


def _open(root: Path, name: str) -> Path:

    for directory in (root / name, Path(name)):
        if _is_run(directory):
            return directory
        if directory.is_dir() and (root == directory.parent or any(directory.glob("*.json"))):
            lost = (
                "status.json" if not (directory / "status.json").is_file() else "run.toml or comparison.json"
            )
            raise wrong(f"`{directory}`", expected="a run or a comparison", found=f"no {lost} in it")
    if known := [str(d.relative_to(root)) for d in _directories(root)]:
        raise unknown(f"run in {root}", name, known)
    hint = "pass `--root` with the directory where runs lie"
    raise wrong(f"`{name}`", expected="a run", found=f"no run in {root}", hint=hint)


def _settings(directory: Path) -> dict[str, Any]:
    """Read what a run or a comparison was asked for."""
    from ..engine import Run
    from ..problems.kept import FILE, settings

    if (directory / "run.toml").is_file():
        return Run.open(directory).settings()
    return settings(directory) if (directory / FILE).is_file() else {}


def _results(directory: Path) -> dict[str, float]:
    """Read final losses and scores of a run, or the means of a comparison."""
    from ..engine import Run
    from ..records import understood

    results: dict[str, float] = {}
    scores = _scores(directory)  # which sees that the losses are as they were written
    if (directory / "run.toml").is_file():
        for phase, losses in Run.open(directory).journal.last().items():
            results |= {f"loss {phase}: {name}": value for name, value in losses.items()}
    results |= scores
    data = _json(directory / "result.json")
    with understood(directory / "result.json"):
        return results | _means(data)


def _means(data: Mapping[str, Any]) -> dict[str, float]:
    """Read the means of a comparison."""
    results: dict[str, float] = {}
    several = len({row.get("target") for row in data.get("rows", [])}) > 1
    for row in data.get("rows", []):
        if row["mean"] is not None:
            shots = "all" if row["shots"] is None else row["shots"]
            place = f"{row['target']}: " if several else ""
            results[f"{place}{data['metric']} {row['strategy']} ({shots} shots)"] = row["mean"]
    return results


def _data(settings: Mapping[str, Any]) -> str:
    """Name the data of the target, or of several."""
    tables = [settings["target"]] if "target" in settings else settings.get("targets", [])
    return " ".join(table.get("data", "") for table in tables)


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            value = {str(i): entry for i, entry in enumerate(value)}
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return flat


@app.callback(invoke_without_command=True)
def table(context: typer.Context, root: Root = Path("runs")) -> None:
    """List runs and comparisons, show one, or compare two."""
    from ..engine import Run

    context.obj = root
    if context.invoked_subcommand is not None:
        return
    rows = [["id", "kind", "state", "step", "what", "result"]]
    for directory in _directories(root):
        status = Run(directory).status()
        kind = "comparison" if (directory / "comparison.json").is_file() else "run"
        step = f"{status.phase} {status.step}/{status.steps}" if status.steps else ""
        try:
            told = _told(directory)
        except (OSError, ValueError) as error:  # one that is damaged does not hide the others
            warnings.warn(str(error), UserWarning, stacklevel=1)
            told = ["", "damaged"]
        rows.append([str(directory.relative_to(root)), kind, status.state, step, *told])
    say(columns(rows) if len(rows) > 1 else f"there is no run in {root}")


def _told(directory: Path) -> list[str]:
    """Say what a run or a comparison is of, and what came out."""
    settings = _settings(directory)
    data = _data(settings)
    if (directory / "comparison.json").is_file():
        return [data, str(_json(directory / "result.json").get("recommended") or "")]
    first = next((f"{name} {value:.3f}" for name, value in _scores(directory).items()), "")
    return [f"{settings.get('fit', {}).get('strategy', '')} {data}".strip(), first]


@app.command()
def show(context: typer.Context, run: Id, root: Below = None) -> None:
    """Show a run's state, settings, final losses and scores."""
    from ..engine import Run, to_toml

    directory = _open(root or context.obj, run)
    status = Run(directory).status()
    say(
        f"{directory}: {status.state}"
        + (f", {status.phase} {status.step}/{status.steps}" if status.steps else "")
    )
    say(f"\n{to_toml(_settings(directory))}")
    rows = [[name, f"{value:.4g}"] for name, value in _results(directory).items()]
    if rows:
        say(columns(rows))


@app.command()
def compare(context: typer.Context, first: Id, second: Id, root: Below = None) -> None:
    """Show the settings in which two runs differ, and their final losses and scores."""
    directories = [_open(root or context.obj, name) for name in (first, second)]
    a, b = (_flat(_settings(d)) for d in directories)
    differ = [[key, str(a.get(key, "-")), str(b.get(key, "-"))] for key in a | b if a.get(key) != b.get(key)]
    say(columns([["setting", first, second], *differ]) if differ else "same settings")
    x, y = (_results(d) for d in directories)
    if x or y:
        rows = [[key, *(f"{r[key]:.4g}" if key in r else "-" for r in (x, y))] for key in x | y]
        say("\n" + columns([["result", first, second], *rows]))
