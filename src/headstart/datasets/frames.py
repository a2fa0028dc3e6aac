"""Tasks out of a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ..errors import wrong
from ..tasks import Task
from ..tasks.encoding import Encoding
from .options import Options
from .readers.files import load_frame
from .readers.pieces import tokenizer_text
from .readers.tables import encode_columns, table_tasks
from .readers.text import encode_text
from .references import as_encoding, check_alike, partly
from .splits import SplitSpec, carve


def from_frame(
    frame: Any,
    *,
    label: str | Sequence[str],
    text: str = "",
    name: str = "",
    split: SplitSpec = SplitSpec(),  # noqa: B008 (frozen)
    encoding: Encoding | Mapping[str, Any] | None = None,
    drop: Sequence[str] = (),
    kind: Literal["classes", "numbers"] | None = None,
    tokens: str | Path | None = None,
    ids: Sequence[str] = (),
    like: Encoding | Mapping[str, Any] | None = None,
) -> list[Task]:
    """Turn a pandas or polars DataFrame into tasks, as ``read`` does with a table in a file.

    Strings are meant as strings, also where they look like numbers. Several labels give several tasks
    on one tensor of inputs. A column named ``split`` says which rows are for train, valid and test.

    Args:
        frame: the DataFrame; it is only read.
        label: the column of labels, or several.
        text: a column of text, whose words are then the only inputs; else all columns are.
        name: of the task, where there is one; else tasks are named after their labels.
        split: how rows are divided.
        encoding: ``task.encoding`` of earlier data, or its JSON, to make these rows in the same way.
        drop: columns that are to be no inputs.
        kind: what labels are, where it should not be inferred: ``"classes"`` or ``"numbers"``.
        tokens: the tokenizer that cuts the text, as for ``read``.
        ids: columns that name users, items and the like, as for ``read``.
        like: the encoding of another table, as for ``read``: columns that it has are made as there.

    Raises:
        TypeError: if ``frame`` is no DataFrame.
        ValueError: if a column is missing or wrong, or a name is given for several tasks.

    Example:
        >>> import pandas
        >>> people = pandas.DataFrame({"age": range(20, 40), "job": ["cook", "clerk"] * 10})
        >>> (task,) = from_frame(people, label="job")
        >>> task.kind.classes, task.train.x.shape, len(task.test)
        (('clerk', 'cook'), torch.Size([16, 1]), 4)
    """
    labels = [label] if isinstance(label, str) else list(label)
    if not labels or (name and len(labels) > 1):
        expected = "one label, where a name is given" if labels else "a column, or several"
        raise wrong("`label`", expected=expected, found=labels)
    if (table := load_frame(frame)) is None:
        raise wrong(
            "`frame`", expected="a pandas or polars DataFrame", found=type(frame).__name__, error=TypeError
        )
    known = None if encoding is None else as_encoding(encoding)
    words = bool(text) or (known is not None and known.reads("text"))
    reader = "text" if words else "parquet"
    if known is not None:
        check_alike(reader, known)
    if text:
        table.column(text)
    if tokens is not None and not words:
        raise wrong("`tokens`", expected="given beside `text`", found="no column of text")
    cut = "" if tokens is None else tokenizer_text(tokens)
    encoder = (
        partial(encode_text, column=text, tokens=cut)
        if words
        else partial(encode_columns, ids=ids, like=partly(like))
    )
    kinds = dict.fromkeys(labels, kind) if kind else {}
    options = Options(split=split, encoding=known, drop=drop, kinds=kinds, ids=ids)
    tasks = carve(table_tasks(table, labels, options, reader, encoder), split)
    return [replace(task, name=name) for task in tasks] if name else tasks
