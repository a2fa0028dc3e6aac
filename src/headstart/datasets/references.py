"""References such as ``"csv:train.csv#label"``, and the table of what can stand before the colon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import unknown, wrong
from ..tasks import Task
from ..tasks.encoding import Encoding
from ..tasks.nouns import parts
from .classes import rotations
from .options import LabelKind, Options, Reader
from .readers import arrays, coco, conll, images, maps, masks, miniimagenet, tables, text
from .readers.files import format_of, header
from .readers.pieces import tokenizer_text
from .sets import (
    adult,
    amazon_reviews,
    assays,
    clinc150,
    digits,
    fdu_mtl,
    medmnist,
    mnist,
    mnistm,
    movielens,
    omniglot,
    school,
    snips,
    text_cls,
    ud_ewt,
    usps,
    wnut17,
)
from .splits import SplitSpec, carve

READERS: dict[str, Reader] = {
    "csv": tables.CSV,
    "parquet": tables.PARQUET,
    "jsonl": tables.JSONL,
    "excel": tables.EXCEL,
    "text": text.READER,
    "conll": conll.READER,
    "images": images.READER,
    "masks": masks.READER,
    "maps": maps.READER,
    "coco": coco.READER,
    "miniimagenet": miniimagenet.READER,
    "npz": arrays.READER,
    "digits": digits.READER,
    "omniglot": omniglot.READER,
    "mnist": mnist.READER,
    "usps": usps.READER,
    "amazon_reviews": amazon_reviews.READER,
    "mnistm": mnistm.READER,
    "medmnist": medmnist.READER,
    "fdu_mtl": fdu_mtl.READER,
    "school": school.READER,
    "adult": adult.READER,
    "movielens": movielens.READER,
    "tox21": assays.TOX21,
    "sider": assays.SIDER,
    "clintox": assays.CLINTOX,
    "snips": snips.READER,
    "clinc150": clinc150.READER,
    "ud_ewt": ud_ewt.READER,
    "wnut17": wnut17.READER,
    "text_cls": text_cls.READER,
}


def read(
    reference: str,
    *,
    base: Path | str = Path("."),
    split: SplitSpec = SplitSpec(),  # noqa: B008 (frozen)
    resize: int | tuple[int, int] | None = None,
    skip_broken: bool = False,
    encoding: Encoding | Mapping[str, Any] | None = None,
    drop: Sequence[str] = (),
    kind: LabelKind | Mapping[str, LabelKind] | None = None,
    tokens: str | Path | None = None,
    ids: Sequence[str] = (),
    like: Encoding | Mapping[str, Any] | None = None,
) -> list[Task]:
    """Turn a data reference into tasks.

    A reference is ``reader:argument``; ``headstart list datasets`` (or ``READERS``) shows the
    readers. Several label columns give several tasks on one tensor of inputs. Of the tasks of a set,
    names after ``#`` choose: ``"adult#income"``, ``"tox21#NR-AR,NR-ER"``. ``+rotations`` at the end
    of a reference to images adds the turns by 90 degrees as classes.

    Args:
        reference: ``"csv:train.csv#label"`` (so too ``parquet:``, ``jsonl:``, ``excel:``, ``text:``),
            ``"images:folder"``, ``"digits:5-9"``, ``"mnist"``, ...
        base: folder that relative paths start from.
        split: how rows are divided where the data have no test part of their own; ``SplitSpec(test=0)``
            keeps all rows of a source for training.
        resize: pixels of a side, or ``(height, width)``, for images.
        skip_broken: leave out images that do not decode, with a warning that counts them.
        encoding: ``task.encoding`` of an earlier reading, or its JSON, to make these rows in the same
            way (statistics, vocabulary, classes); ``task.encoding.alike()`` lets the labels be others.
        drop: columns of a table that are to be no inputs, whether they are there or not; the labels
            never are.
        kind: what the labels of a table are, where it should not be inferred: ``"classes"``, or
            ``"numbers"`` (a regression, also of whole numbers); or a mapping that says it by column.
        tokens: the tokenizer that cuts texts, as ``hs.models.tokenizer("hf:DIR")`` gives it, or the path of
            a ``tokenizer.json``; by default texts are cut into words. An ``encoding`` goes before it.
        ids: columns of a table that name users, items and the like, each value of which is to have a vector
            (backbone ``factors``). An ``encoding`` goes before it.
        like: the encoding of another table, in part of which this one has its columns: these are made as
            there, the others are learned anew. An ``encoding`` goes before it.

    Raises:
        ValueError: if the reference or the file's contents are wrong.
        FileNotFoundError: if a file or a set is not there.
        ImportError: if an optional dependency is missing; names the line that installs it.

    Example:
        >>> (task,) = read("digits:5-9")
        >>> task.kind.classes, tuple(task.train.x.shape[1:]), len(task.test)
        ((5, 6, 7, 8, 9), (1, 8, 8), 358)
    """
    if not isinstance(reference, str):
        hint = "a DataFrame is read from a file: `table.to_csv('new.csv')`, then \"csv:new.csv#label\""
        found = type(reference).__name__
        raise wrong("data reference", expected='"reader:argument"', found=found, hint=hint, error=TypeError)
    name, argument, wanted, turn = _cut(reference)
    if name not in READERS:
        if ":" not in reference and (Path(base) / name).is_dir():
            hint = f'write "images:{name}" for images in a folder for each class'
            raise wrong("data reference", expected='"reader:argument"', found=f'"{reference}"', hint=hint)
        if ":" not in reference and Path(name).suffix:
            hint = (
                f'name the reader and the label, as in "{format_of(Path(name))}:{name}#{wanted or "label"}"'
            )
            raise wrong("data reference", expected='"reader:argument"', found=f'"{reference}"', hint=hint)
        raise unknown("reader of a data reference", name, READERS)
    if turn not in (None, "rotations"):
        raise unknown("option of a data reference", turn, ["rotations"])
    if resize is not None and not READERS[name].sized:
        raise wrong("`resize`", expected="given for images only", found=f'`resize` with "{reference}"')
    if kind and not READERS[name].labels:
        raise wrong("`kind`", expected="given for tables and text only", found=f'`kind` with "{reference}"')
    if tokens is not None and not READERS[name].texts:
        hint = 'write "text:" before a table with a column of text' if READERS[name].labels else ""
        what = "`tokens` (of a backbone that reads text)"
        raise wrong(what, expected="given for text only", found=f'"{reference}"', hint=hint)
    if ids and (not READERS[name].labels or READERS[name].texts):
        raise wrong("`ids`", expected="given for tables only", found=f'`ids` with "{reference}"')
    known = None if encoding is None else as_encoding(encoding)
    if known is not None:
        check_alike(name, known)
    if like is not None and (not READERS[name].labels or READERS[name].texts):
        raise wrong("`like`", expected="given for tables only", found=f'`like` with "{reference}"')
    cut = "" if tokens is None else tokenizer_text(tokens)
    size = (resize, resize) if isinstance(resize, int) else resize
    kinds = dict.fromkeys(label_columns(reference, base), kind) if isinstance(kind, str) else kind or {}
    options = Options(Path(base), split, size, skip_broken, known, drop, kinds, cut, ids, partly(like))
    tasks = READERS[name].read(argument, options)
    tasks = carve(tasks if wanted is None else _chosen(tasks, wanted, name), split)
    return [rotations(task) for task in tasks] if turn else tasks


def reads_files(reference: str) -> bool:
    """Tell whether a data reference is to files of the user's own, and not to a benchmark set.

    Example:
        >>> reads_files("csv:train.csv#label"), reads_files("adult#income")
        (True, False)
    """
    return _of_files(reference.partition(":")[0])


def reads_texts(reference: str) -> bool:
    """Tell whether a data reference is to texts, which a tokenizer may cut.

    Example:
        >>> reads_texts("text:reviews.csv#label"), reads_texts("clinc150"), reads_texts("adult#income")
        (True, True, False)
    """
    name = _cut(reference)[0]
    return name in READERS and READERS[name].texts


def data_of(reference: str, base: Path | str = Path(".")) -> str:
    """Name what a reference reads, whichever labels of it: a file or a folder, or a set.

    Example:
        >>> data_of("csv:a.csv#income", "/data"), data_of("tox21:random#NR-AR")
        ('/data/a.csv', 'tox21:random')
    """
    name, argument, _, _ = _cut(reference)
    if not _of_files(name):
        return f"{name}:{argument}"
    return str((Path(base) / tables.cut_argument(argument, base)[0]).resolve())


def table_columns(reference: str, base: Path | str = Path(".")) -> list[str]:
    """List the columns of the table that a reference reads; none where it reads no table.

    Raises:
        ValueError: if the file is none of its reader's.
        FileNotFoundError: if it is not there.
    """
    name, _, argument = reference.partition(":")
    path, after = tables.cut_argument(argument, base)
    if not (path and after and _labelled(name)):
        return []
    tables.check_format(argument, name, base)
    return header(Path(base) / path, name)


def label_columns(reference: str, base: Path | str = Path(".")) -> list[str]:
    """List the label columns that a reference to a table names.

    Example:
        >>> label_columns("csv:train.csv#income,married"), label_columns("npz:file.npz#x,y")
        (['income', 'married'], [])
    """
    name, _, argument = reference.partition(":")
    path, after = tables.cut_argument(argument, base)
    if not _labelled(name):
        return []
    there = "," in after and (Path(base) / path).is_file()
    return tables.label_names(after, table_columns(reference, base) if there else ())


def _labelled(name: str) -> bool:
    return name in READERS and READERS[name].labels


def _of_files(name: str) -> bool:
    return name in READERS and READERS[name].encoding is not None


def _cut(reference: str) -> tuple[str, str, str | None, str | None]:
    """Cut ``name:argument#tasks+turn``; what stands after the # of files is left in their argument."""
    name, colon, argument = reference.partition(":")
    turn: str | None = None
    wanted: str | None = None
    if not colon and "+" in name:
        name, _, turn = name.partition("+")
    elif argument.endswith("+rotations") and not _labelled(name):
        argument, _, turn = argument.rpartition("+")
    if not colon and "#" in name:
        name, _, wanted = name.partition("#")
    elif not _of_files(name) and "#" in argument:
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


def check_alike(name: str, encoding: Encoding) -> None:
    """Raise ``ValueError`` where an encoding was made by a reader of other files; ``npz`` fits many."""
    if _of_files(name) and not encoding.reads(name):
        raise wrong(
            "reader of the data",
            expected=f'"{encoding.reader}:", by which their encoding was made',
            found=f'"{name}:"',
            hint="give data as then",
        )


def encoding_from_json(about: Mapping[str, Any]) -> Encoding:
    """Read an encoding that ``to_json`` wrote, as it stands in a saved model.

    Raises:
        ValueError: if it is none.

    Example:
        >>> encoding_from_json({"reader": "images", "shape": [3, 32, 32]}).row_shape()
        (3, 32, 32)
    """
    family = READERS[about["reader"]].encoding if about.get("reader") in READERS else None
    if "tokenizer" in about:
        family = text.PieceEncoding
    try:
        if family is not None:
            return family.from_json(about)
        found = f"{sorted(about)}"
    except (KeyError, TypeError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
    hint = "save the model with `encoding=task.encoding`"
    raise wrong("encoding", expected="what `task.encoding.to_json()` gives", found=found, hint=hint)


def as_encoding(encoding: Encoding | Mapping[str, Any]) -> Encoding:
    """Take an encoding as it is, or read it from JSON."""
    return encoding if isinstance(encoding, Encoding) else encoding_from_json(encoding)


def partly(like: Encoding | Mapping[str, Any] | None) -> Encoding | None:
    """Take the encoding of a table for another one's columns; ``TypeError`` where it is of something else."""
    made = None if like is None else as_encoding(like)
    if made is not None and not isinstance(made, tables.TableEncoding):
        found = type(made).__name__
        raise wrong("`like`", expected="the encoding of a table", found=found, error=TypeError)
    return made


def encode(
    source: Path | str, encoding: Encoding | Mapping[str, Any], *, base: Path | str = Path(".")
) -> Tensor:
    """Make new rows, without labels or with, into inputs in the same way as the training rows.

    Args:
        source: a file, a folder of images, or a data reference (of a benchmark set: its test rows,
            or its train rows where it has no others).
        encoding: ``task.encoding`` of the training data, or its JSON.
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
    known = as_encoding(encoding)
    name, colon, argument = str(source).partition(":")
    reader = READERS.get(_cut(str(source))[0])
    of_set = reader is not None and reader.encoding is None
    if of_set and (colon or not (Path(base) / source).exists()):
        (task, *_) = read(str(source), base=base, encoding=known)
        rows = task.test or task.train
        x = parts(rows.x).get("") if rows.held else None
        if x is None:
            raise wrong(f'"{source}"', expected="rows in one tensor", found=type(rows).__name__)
        return x
    if colon:
        check_alike(name, known)
    path = tables.cut_argument(argument, base)[0] if colon and _of_files(name) else str(source)
    return known.encode(Path(base) / path)
