"""Commands that use a saved model: ``evaluate``, ``predict``, ``adapt``."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import unknown, wrong
from .options import Data, Model, SkipBroken, estimates

if TYPE_CHECKING:
    from torch import Tensor

    from ..datasets import Encoding
    from ..models import Net, Saved
    from ..tasks import Kind, Labelled, Lazy, Task

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
Method = Annotated[str, typer.Option(help="protonet or maml.")]


def evaluate(model: Model, data: Data, task: TaskName = None, skip_broken: SkipBroken = False) -> None:
    """Measure a saved model on data, each metric with a 95 % interval.

    Where the data have a test part of their own, its rows are used; else all rows.
    """
    from .. import engine
    from ..models import load

    saved = load(model)
    name = _head(saved, task)
    read = _read(saved, name, data, skip_broken)
    _warn_of_sizes(data, _encoding(saved, model) if saved.encoding else None)
    part = "all rows" if read.test is None else "test rows"
    typer.echo(estimates(engine.evaluate(saved.net, read, read.test or read.train), f"of {part}"))


def predict(
    model: Model, data: Data, out: Table, task: TaskName = None, skip_broken: SkipBroken = False
) -> None:
    """Write a model's answers, with probabilities, to a CSV file; DATA need no labels.

    Rows are in the order of the data; for images, the first column names the file.
    """
    from ..datasets import encode
    from ..engine import predict as outputs
    from ..engine import write_atomic
    from ..models import load

    if out.is_dir():
        raise wrong(f"`{out}`", expected="a CSV file to write", found="a folder", error=IsADirectoryError)
    if not out.parent.is_dir():
        hint = "make it, or write elsewhere"
        raise wrong(
            f"`{out.parent}`", expected="a folder", found="nothing there", hint=hint, error=FileNotFoundError
        )
    saved = load(model)
    name = _head(saved, task)
    encoding = _encoding(saved, model)
    files, x = _images(data, encoding, skip_broken) or (None, encode(data, encoding))
    _warn_of_sizes(data, encoding)
    table = _answers(saved.kinds[name], outputs(saved.net, name, x), files)
    write_atomic(out, table)
    typer.echo(f"{len(x)} predictions in {out}", err=not out.is_file())  # not among those in a pipe


def adapt(
    model: Model,
    support: Support,
    out: New,
    method: Method = "protonet",
    task: NewTask = None,
    skip_broken: SkipBroken = False,
) -> None:
    """Teach a model new classes from a few labelled rows of each."""
    from ..datasets import SplitSpec, read
    from ..meta import MAML, FewShot, ProtoNet
    from ..models import Net, load

    saved = load(model)
    if method not in ("protonet", "maml"):
        raise unknown("`--method`", method, ["protonet", "maml"])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise wrong(f"`{out}`", expected="new or empty", found="files in it", error=FileExistsError)
    alike = _encoding(saved, model).alike()
    (few, *others) = read(support, split=SplitSpec(test=0), skip_broken=skip_broken, encoding=alike)
    _warn_of_sizes(support, alike)
    if others or not few.kind.extensible or not few.train.held:
        raise wrong(f"`{support}`", expected="rows with one class each", found=str(few.kind))
    _check_rows(saved, next(iter(saved.kinds)), few.train)
    name, width = replace(few, name=task or few.name).name, _width(saved.net, few.train)
    net = Net(saved.net.backbone, {name: few.kind.head(width)})
    for parameter in net.heads[name].parameters():
        parameter.data.zero_()  # every class alike before the first step
    adaptation = ProtoNet(name) if method == "protonet" else MAML(name, lr=0.1, steps=10)
    rows = few.train.known()
    labels = [few.kind.classes[i] for i in rows.y.tolist()]
    FewShot(net, adaptation, encoding=few.encoding).fit(rows.x, labels).save(out)
    classes = ", ".join(map(str, few.kind.classes))
    typer.echo(f"{len(rows)} rows of {len(few.kind.classes)} classes: {classes}")
    typer.echo(f"Use it: headstart predict {shlex.quote(str(out))} DATA -o predictions.csv")


def _width(net: Net, rows: Labelled) -> int:
    import torch

    from ..tasks.nouns import take

    with torch.no_grad():
        return net.eval().features(take(rows.x, torch.tensor([0])), next(iter(net.heads))).shape[1]


def _head(saved: Saved, asked: str | None) -> str:

    if asked is not None and asked not in saved.kinds:
        raise unknown("`--task`", asked, saved.kinds)
    if asked is None and len(saved.kinds) > 1:
        raise wrong("`--task`", expected=f"one of {sorted(saved.kinds)}", found="none")
    return asked or next(iter(saved.kinds))


def _encoding(saved: Saved, model: Path) -> Encoding:
    from ..datasets import encoding_from_json

    encoding = saved.encoding or {}
    if "reader" not in encoding:
        hint = "save it with `encoding=task.encoding`"
        found = f"an encoding with {sorted(encoding)}" if encoding else "no encoding"
        raise wrong(f"model {model}", expected="told how rows are made", found=found, hint=hint)
    return encoding_from_json(encoding)


def _read(saved: Saved, name: str, data: str, skip_broken: bool) -> Task:
    """Read labelled rows as the model's own task."""
    from ..datasets import SplitSpec, read
    from ..tasks import Task

    tasks = read(data, split=SplitSpec(test=0), skip_broken=skip_broken, encoding=saved.encoding)
    task = next((t for t in tasks if t.name == name), tasks[0])
    if len(tasks) > 1 and task.name != name:
        raise wrong("data", expected="one label column", found=[t.name for t in tasks])
    train, test = (_renumber(part, task.kind, saved.kinds[name]) for part in (task.train, task.test))
    _check_rows(saved, name, train)
    return Task(name, saved.kinds[name], train, test=test)  # type: ignore[arg-type]


def _renumber(rows: Labelled | Lazy | None, theirs: Kind, ours: Kind) -> Labelled | Lazy | None:
    """Number labels by the model's classes; ``ValueError`` names a label that is none of them."""
    import torch

    from ..tasks import Labelled

    if theirs == ours or rows is None or not rows.held:
        return rows
    if not (theirs.extensible and ours.extensible):
        expected = f"answers of the model's kind, {ours.name}"
        raise wrong("labels of the data", expected=expected, found=theirs.name)
    there = rows.present()
    y = torch.full_like(rows.y, -100)
    y[there] = ours.encode([theirs.classes[i] for i in rows.y[there].tolist()])
    return Labelled(rows.x, y)


def _check_rows(saved: Saved, name: str, rows: Labelled | Lazy | None) -> None:
    """Raise ``ValueError`` for rows that the model does not take."""
    import torch

    from ..tasks.nouns import take, tensors

    if rows is None or not rows.held:
        return
    try:
        with torch.no_grad():
            saved.net(take(rows.x, slice(1)), name)
    except (RuntimeError, IndexError) as error:
        known = (saved.encoding or {}).get("shape")
        expected = f"of shape {known}" if known else "such as the model was trained on"
        found = f"shape {list(tensors(rows.x)[0].shape[1:])}"
        raise wrong("rows of the data", expected=expected, found=found) from error


def _images(data: str, encoding: Encoding, skip_broken: bool) -> tuple[list[str], Tensor] | None:
    """Decode images of the user's own and name their files; ``None`` for data of any other kind."""
    from ..datasets.readers.images import load_images

    if not (files := _image_files(data, encoding)):
        return None
    channels, high, wide = encoding.row_shape()
    x, kept = load_images(files, (high, wide), skip_broken, channels)
    return [str(files[i]) for i in kept], x


def _image_files(data: str, encoding: Encoding | None) -> list[Path]:
    """List the images of a user's own that are to become rows."""
    return encoding.files(Path(data.removeprefix("images:"))) if encoding is not None else []


def _warn_of_sizes(data: str, encoding: Encoding | None) -> None:
    """Warn where images are of another size than the model's, since they are resized to that."""
    import warnings

    files = _image_files(data, encoding)
    high, wide = encoding.row_shape()[1:] if encoding and files else (0, 0)
    others = [(file, size) for file in files if (size := _size(file)) not in (None, (high, wide))]
    for first, size in others[:1]:
        warnings.warn(
            f"{len(others)} of {len(files)} images are resized to {high} x {wide} pixels (height x width), "
            f"as the model takes them; the first is {first} with {size[0]} x {size[1]}",
            stacklevel=2,
        )


def _size(file: Path) -> tuple[int, int] | None:
    """Tell an image's height and width as it is shown, without decoding it; ``None`` for a broken one."""
    from PIL import ExifTags, Image

    try:
        with Image.open(file) as image:
            wide, high = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    except (OSError, SyntaxError, ValueError, EOFError):
        return None
    return (wide, high) if turned else (high, wide)


def _answers(kind: Kind, outputs: Tensor, files: list[str] | None = None) -> str:
    """Write answers as CSV text, with the probability of the answer and of each class."""
    import csv
    import io

    answers = [" ".join(map(str, a)) if isinstance(a, list) else a for a in kind.decode(outputs)]
    header, columns = ["prediction"], [answers]
    if (p := kind.probabilities(outputs.double())) is not None:
        if kind.exclusive:
            header, columns = ["prediction", "probability"], [answers, _short(p.max(1).values)]
        header += [f"p({name})" for name in kind.classes]
        columns += [_short(column) for column in p.T]
    if files is not None:
        header, columns = ["file", *header], [files, *columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _short(values: Tensor) -> list[str]:
    return [f"{value:.6g}" for value in values.tolist()]
