"""Commands that use a saved model: ``evaluate``, ``predict``, ``adapt``, ``export``, ``slim``."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..errors import unknown, wrong
from .options import Data, Device, Model, SkipBroken, estimates, say

TaskName = Annotated[
    str | None, typer.Option("--task", help="Which head, where the model has several.", show_default=False)
]
Table = Annotated[Path, typer.Option("--out", "-o", help="The CSV file to write.", show_default=False)]
New = Annotated[
    Path, typer.Option("--out", "-o", metavar="NEW", help="Directory of the new model.", show_default=False)
]
Support = Annotated[
    str,
    typer.Argument(
        metavar="SUPPORT",
        help='A few labelled rows, e.g. "images:folder", "csv:few.csv#label".',
        show_default=False,
    ),
]
NewTask = Annotated[str | None, typer.Option("--name", help="Name of the new task.", show_default=False)]
Exported = Annotated[
    Path, typer.Argument(metavar="OUT", help='The file to write, e.g. "model.onnx".', show_default=False)
]
Format = Annotated[
    str | None,
    typer.Option("--to", help="onnx or torch; by the suffix of OUT by default.", show_default=False),
]
Compared = Annotated[
    str | None,
    typer.Option(
        "--data", help="Rows to compare the file with the model on; made up by default.", show_default=False
    ),
]
Start = Annotated[
    str | None,
    typer.Option("--base", help="What it began with; the one it names by default.", show_default=False),
]
Method = Annotated[
    str,
    typer.Option(
        help="protonet, cosine, simpleshot, matching, siamese, ridge, logistic, baseline++, anil or maml."
    ),
]


def evaluate(
    model: Model, data: Data, task: TaskName = None, skip_broken: SkipBroken = False, device: Device = None
) -> None:
    """Measure a saved model on data, each metric with a 95 % interval.

    Where the data have a test part of their own, its rows are used; else all rows.
    """
    from ..inference import load

    loaded = load(model, device=device or "auto")
    read = loaded.read(data, task=task, skip_broken=skip_broken)
    found = loaded.evaluate(read, task=task)
    fewer = max(e.n for e in found.values()) < int((read.test or read.train).present().sum())
    part = "test rows" if read.test is not None else "rows not trained on" if fewer else "all rows"
    say(estimates(found, f"of {part}"))


def predict(
    model: Model,
    data: Data,
    out: Table,
    task: TaskName = None,
    skip_broken: SkipBroken = False,
    formulas: Annotated[
        bool, typer.Option("--formulas", help="Write names that begin as a formula does as they are.")
    ] = False,
    unknown: Annotated[
        str | None, typer.Option("--unknown", help="What to answer where no class is as probable as --least.")
    ] = None,
    least: Annotated[float, typer.Option("--least", help="A probability, for --unknown.")] = 0.5,
    device: Device = None,
) -> None:
    """Write a model's answers, with probabilities, to a CSV file; DATA need no labels.

    Rows are in the order of the data; for images, the first column names the file. A folder that is
    there gets the masks, or the maps of numbers, of a model that answers each pixel.
    """
    from ..engine import write_atomic
    from ..inference import load

    loaded = load(model, device=device or "auto")
    answer = partial(loaded.answer, data, task=task, skip_broken=skip_broken, unknown=unknown, least=least)
    if out.is_dir() and any(kind.place == "pixel" for kind in loaded.kinds.values()):
        said = answer()
        said.to_masks(out)
        say(f"{len(said)} {'masks' if said.kind.classes else 'maps'} in {out}", err=True)
        return
    if out.is_dir():
        raise wrong(f"`{out}`", expected="a CSV file to write", found="a folder", error=IsADirectoryError)
    if not out.parent.is_dir():
        hint = "make it, or write elsewhere"
        raise wrong(
            f"`{out.parent}`", expected="a folder", found="nothing there", hint=hint, error=FileNotFoundError
        )
    read = Path(data.partition(":")[2].partition("#")[0] or data)
    if out.exists() and (model.resolve() in out.resolve().parents or (read.exists() and out.samefile(read))):
        raise wrong(f"`{out}`", expected="a file to write", found="what is read", hint="write elsewhere")
    said = answer()
    write_atomic(out, said.to_csv(formulas=formulas))
    say(f"{len(said)} predictions in {out}", err=not out.is_file())  # not among those in a pipe


def adapt(
    model: Model,
    support: Support,
    out: New,
    method: Method = "protonet",
    task: NewTask = None,
    skip_broken: SkipBroken = False,
    device: Device = None,
) -> None:
    """Teach a model new classes from a few labelled rows of each."""
    from ..inference import load

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise wrong(f"`{out}`", expected="new or empty", found="files in it", error=FileExistsError)
    loaded = load(model, device=device or "auto")
    few = loaded.examples(support, skip_broken=skip_broken)
    loaded.adapt(few, method=method, name=task or "").save(out)
    classes = ", ".join(map(str, few.kind.classes))
    say(f"{int(few.train.present().sum())} rows of {len(few.kind.classes)} classes: {classes}")
    say(f"Use it: headstart predict {shlex.quote(str(out))} DATA -o predictions.csv")


def export(model: Model, out: Exported, to: Format = None, data: Compared = None) -> None:
    """Write a saved model as one file that other programs run, and a card of it beside.

    `--to onnx` writes for ONNX (.onnx), `--to torch` for torch.export (.pt2). The file is run and compared
    with the model before it is written; OUT.md and OUT.json say what it takes and answers.
    """
    import json

    from ..inference import load
    from ..inference.exporting import FORMATS

    suffixes = {name: suffix for suffix, name in FORMATS.items()}
    if to is not None and to not in suffixes:
        raise unknown("`--to`", to, suffixes)
    if to is not None and not out.suffix:
        out = out.with_suffix(suffixes[to])
    if to is not None and out.suffix != suffixes[to]:
        raise wrong("`OUT`", expected=f"a file that ends in {suffixes[to]}", found=f"{out}")
    load(model, device="cpu").export(out, data)
    check = json.loads(out.with_name(f"{out.name}.json").read_bytes())["check"]
    say(
        f"{out}: answers of {check['runtime']} within {max(check['relative'].values()):.1e} of the model's "
        f"on {check['rows']} rows ({check['rows_from']})\nCard: {out}.md"
    )


def slim(
    model: Model,
    out: New,
    base: Start = None,
) -> None:
    """Copy a saved model without the weights that are still those of the pretrained net it began with.

    It points to these by their hash, and is loaded where that net is on the machine.
    """
    from .. import models

    start = None if base is None else models.backbone(base, fetch="never")
    models.slim(model, out, base=start)
    before, after = (sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) for place in (model, out))
    say(f"{out}: {after / 1e6:.2f} MB in place of {before / 1e6:.2f}; the rest is in the net that it names")
