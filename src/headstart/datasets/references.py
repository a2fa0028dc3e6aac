"""References such as ``"csv:train.csv#label"``, and the table of what can stand before the colon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from ..errors import unknown, wrong
from ..tasks import Labelled, Task
from . import arrays, corpora, digits, images, public, tables, text
from .options import Options, Reader
from .splits import SplitSpec, carve

READERS: dict[str, Reader] = {
    "csv": Reader(tables.read_csv, 'a table with a header: "csv:train.csv#label"'),
    "parquet": Reader(tables.read_parquet, 'a table: "parquet:train.parquet#income,married"', "tables"),
    "text": Reader(text.read_text, 'a table with a column of text: "text:reviews.csv#label"'),
    "images": Reader(images.read_images, 'a folder per class: "images:folder"', "images"),
    "npz": Reader(arrays.read_npz, 'arrays: "npz:file.npz#x,y"'),
    "digits": Reader(digits.read_digits, 'scans of 8 x 8 that ship with scikit-learn: "digits:5-9"'),
    "omniglot": Reader(public.read_omniglot, 'characters of 50 alphabets, 20 drawers: "omniglot:train"'),
    "mnist": Reader(public.read_mnist, 'digits, 28 x 28: "mnist", "mnist:3x32x32"'),
    "usps": Reader(public.read_usps, 'digits of another scanner, 16 x 16: "usps", "usps:28"'),
    "amazon_reviews": Reader(public.read_amazon_reviews, 'sentiment, 4 domains: "amazon_reviews:books"'),
    "mnistm": Reader(public.read_mnistm, 'digits over photographs, 3 x 32 x 32: "mnistm"', "images"),
    "medmnist": Reader(public.read_medmnist, 'chest X-rays, 28 x 28: "medmnist:pneumonia"'),
    "fdu_mtl": Reader(corpora.read_fdu_mtl, 'sentiment, 16 domains: "fdu_mtl:books"'),
    "school": Reader(
        public.read_school, 'exam scores, a task for each of 139 schools: "school:1,2#school_1"'
    ),
    "adult": Reader(public.read_adult, 'census, income and never married: "adult", "adult#income"'),
    "tox21": Reader(partial(public.read_assays, name="tox21"), '12 toxicity assays with gaps: "tox21#NR-AR"'),
    "sider": Reader(partial(public.read_assays, name="sider"), '27 kinds of side effects: "sider"'),
    "clintox": Reader(
        partial(public.read_assays, name="clintox"), 'approval and toxicity of drugs: "clintox"'
    ),
    "snips": Reader(corpora.read_snips, 'intent and slots of queries: "snips#snips_intent"'),
    "clinc150": Reader(corpora.read_clinc150, '150 intents: "clinc150", "clinc150:small"'),
    "ud_ewt": Reader(corpora.read_ud_ewt, 'parts of speech, 5 genres: "ud_ewt", "ud_ewt:weblog"'),
    "wnut17": Reader(corpora.read_wnut17, 'entities in tweets: "wnut17"'),
    "text_cls": Reader(corpora.read_text_cls, 'sentences, 7 sets: "text_cls:MR"'),
}
LABELLED = ("csv", "parquet", "text")  # their labels may be of either kind
SIZED = ("images", "omniglot", "mnist", "usps", "mnistm", "medmnist")


def read(
    reference: str,
    *,
    base: Path | str = Path("."),
    split: SplitSpec = SplitSpec(),  # noqa: B008 (frozen)
    resize: int | tuple[int, int] | None = None,
    skip_broken: bool = False,
    encoding: Mapping[str, Any] | None = None,
    drop: Sequence[str] = (),
    kind: Literal["classes", "numbers"] | None = None,
) -> list[Task]:
    """Turn a data reference into tasks.

    A reference is ``reader:argument``; ``headstart list datasets`` (or ``READERS``) shows the
    readers. Several label columns give several tasks on one tensor of inputs. Of the tasks of a set,
    names after ``#`` choose: ``"adult#income"``, ``"tox21#NR-AR,NR-ER"``. ``+rotations`` at the end
    of a reference to images adds the turns by 90 degrees as classes.

    Args:
        reference: ``"csv:train.csv#label"``, ``"images:folder"``, ``"digits:5-9"``, ``"mnist"``, ...
        base: folder that relative paths start from.
        split: how rows are divided where the data have no test part of their own.
        resize: pixels of a side, or ``(height, width)``, for images.
        skip_broken: leave out images that do not decode, with a warning that counts them.
        encoding: ``task.encoding`` of an earlier reading, to encode these rows in the same way
            (statistics, vocabulary, classes); without its ``"classes"`` the labels may be others.
        drop: columns of a table that are to be no inputs, whether they are there or not; the labels
            never are.
        kind: what the labels of a table are, where it should not be inferred: ``"classes"``, or
            ``"numbers"`` (a regression, also of whole numbers).

    Raises:
        ValueError: if the reference or the file's contents are wrong.
        FileNotFoundError: if a file or a set is not there.
        ImportError: if an optional dependency is missing; names the line that installs it.

    Example:
        >>> (task,) = read("digits:5-9")
        >>> task.kind.classes, tuple(task.train.x.shape[1:]), len(task.test)
        ((5, 6, 7, 8, 9), (1, 8, 8), 358)
    """
    name, argument, wanted, turn = _cut(reference)
    if name not in READERS:
        if ":" not in reference and Path(name).suffix:
            hint = f'name the reader and the label, as in "csv:{name}#{wanted or "label"}"'
            raise wrong("data reference", expected='"reader:argument"', found=f'"{reference}"', hint=hint)
        raise unknown("reader of a data reference", name, READERS)
    if turn not in (None, "rotations"):
        raise unknown("option of a data reference", turn, ["rotations"])
    if resize is not None and name not in SIZED:
        raise wrong("`resize`", expected="given for images only", found=f'`resize` with "{reference}"')
    if kind is not None and name not in LABELLED:
        raise wrong("`kind`", expected="given for tables and text only", found=f'`kind` with "{reference}"')
    if encoding is not None:
        _check_alike(name, encoding)
    tasks = READERS[name].read(
        argument, Options(Path(base), split, resize, skip_broken, encoding, drop, kind)
    )
    tasks = carve(tasks if wanted is None else _chosen(tasks, wanted, name), split)
    return [digits.rotations(task) for task in tasks] if turn else tasks


def _cut(reference: str) -> tuple[str, str, str | None, str | None]:
    """Cut ``name:argument#tasks+turn``; what stands after the # of files is left in their argument."""
    name, colon, argument = reference.partition(":")
    turn: str | None = None
    wanted: str | None = None
    if not colon and "+" in name:
        name, _, turn = name.partition("+")
    elif argument.endswith("+rotations"):
        argument, _, turn = argument.rpartition("+")
    if not colon and "#" in name:
        name, _, wanted = name.partition("#")
    elif name not in ENCODERS and "#" in argument:
        argument, _, wanted = argument.partition("#")
    return name, argument, wanted, turn


def _chosen(tasks: Sequence[Task], wanted: str, reader: str) -> list[Task]:
    """Keep the tasks of a set that are named, in that order; a name may hold commas itself."""
    named, words, chosen = {task.name: task for task in tasks}, wanted.split(","), []
    while words:
        lengths = (n for n in range(len(words), 0, -1) if ",".join(words[:n]).strip() in named)
        if (length := next(lengths, 0)) == 0:
            raise unknown(f"task of `{reader}`", words[0].strip(), named)
        chosen.append(named[",".join(words[:length]).strip()])
        words = words[length:]
    return chosen


def _check_alike(name: str, encoding: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` where an encoding was made by a reader of other files; ``npz`` fits many."""
    if name not in ENCODERS or name == "npz":
        return
    first = str(encoding.get("reader"))
    if first != name and {first, name} != {"csv", "parquet"}:
        raise wrong(
            "reader of the data",
            expected=f'"{first}:", by which their encoding was made',
            found=f'"{name}:"',
            hint="give data as then",
        )


ENCODERS = {  # the readers of files: what stands after a # is for them to read
    "csv": tables.encode_table,
    "parquet": tables.encode_table,
    "text": text.encode_text,
    "images": images.encode_images,
    "npz": arrays.encode_npz,
}


def encode(source: Path | str, encoding: Mapping[str, Any], *, base: Path | str = Path(".")) -> Tensor:
    """Make new rows, without labels or with, into inputs in the same way as the training rows.

    Args:
        source: a file, a folder of images, or a data reference (of a benchmark set: its test rows,
            or its train rows where it has no others).
        encoding: ``task.encoding`` of the training data.
        base: folder that relative paths start from.

    Shape:
        returns rows ``(N, *)`` in the order of the file (images: in the order of their paths).

    Raises:
        ValueError: if a column is missing, a file is broken, or rows have another shape.
        FileNotFoundError: if the file is not there.

    Example:
        >>> (task,) = read("digits:5-9")
        >>> encode("digits:0-4", task.encoding).shape
        torch.Size([361, 1, 8, 8])
    """
    name, colon, argument = str(source).partition(":")
    if _cut(str(source))[0] in READERS.keys() - ENCODERS and (colon or not (Path(base) / source).exists()):
        (task, *_) = read(str(source), base=base, encoding=encoding)
        rows = task.test or task.train
        if not isinstance(rows, Labelled) or not isinstance(rows.x, Tensor):
            raise wrong(f'"{source}"', expected="rows in one tensor", found=type(rows).__name__)
        return rows.x
    if colon:
        _check_alike(name, encoding)
    path = argument.rpartition("#")[0] or argument if colon and name in ENCODERS else str(source)
    file = Path(base) / path
    kind = "npz" if file.suffix == ".npz" and "shape" in encoding else encoding["reader"]
    return ENCODERS[kind](file, encoding)
