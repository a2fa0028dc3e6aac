"""The data of a problem file become tasks: read alike, and what several read divided once."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..datasets import SplitSpec, read, unlabel
from ..datasets.options import LabelKind
from ..datasets.readers.files import listed
from ..datasets.readers.lengths import shortened
from ..datasets.readers.tables import TableEncoding
from ..datasets.readers.text import LENGTH, TextEncoding
from ..datasets.references import data_of, label_columns, reads_files, reads_texts, table_columns
from ..datasets.splits import LABELLED
from ..errors import unknown, wrong
from ..tasks import Task
from .schema import Data, Source, Split, Target

Divided = dict[str, tuple[Split, Task]]  # by what is read: how the first target that read it is divided


def read_data(
    targets: Sequence[Target],
    sources: Sequence[Source],
    base: Path,
    *,
    alone: bool,
    tokens: str | None = None,
) -> tuple[list[Task], list[Task]]:
    """Read the targets and the sources of a problem; rows of all are made like those of the first target.

    Columns are inputs where every table has them, none names them as a label and no ``drop`` leaves them
    out; a source with ``columns = "own"`` keeps all of its own. What several references read is divided
    once, as the first target says that reads it, so that no test row of a target is a training row of another
    task.

    Args:
        targets: at least one.
        sources: any number.
        base: folder that paths start from.
        alone: whether the target has to be a single task.
        tokens: the tokenizer that cuts texts, of a backbone that has one.

    Raises:
        ValueError: if data are wrong, or tables share no column.
        FileNotFoundError: if data are not there.
    """
    how = _Reading(base, _no_inputs([*targets, *sources], base), tokens)
    new: list[Task] = []
    for target in targets:
        found = _targets(target, new, how, alone=alone)
        how.divided.setdefault(data_of(target.data, base), (target.split, found[0]))
        new += found
    old: list[Task] = []
    for source in sources:
        if reads_files(source.data) and source.data in {target.data for target in targets}:
            told = "is the target itself: a source should be other rows, or another question of the same rows"
            warnings.warn(f'source "{source.data}" {told}', UserWarning, stacklevel=2)
        found = _source(source, new, how)
        old += _named(found, source, [task.name for task in (*new, *old)])
    return new, old


# Which columns are inputs.


def _no_inputs(sections: Sequence[Data], base: Path) -> list[str]:
    """List the columns that are inputs of no table: labels, groups, those to drop or that not all have."""
    columns = {section.data: table_columns(section.data, base) for section in sections}
    _check_drop(sections, columns)
    _check_own(sections, columns)
    out = {name for s in sections for name in (*label_columns(s.data, base), *s.drop, *_group(s)) if name}
    own = [section.data for section in sections if isinstance(section, Source) and section.columns == "own"]
    alike = {data: names for data, names in columns.items() if data not in own}
    return sorted(out | _unshared(alike, out | {"split"}))


def _check_own(sections: Sequence[Data], columns: Mapping[str, Sequence[str]]) -> None:
    """Refuse columns of a source's own where it is no table, or the very file that a target is."""
    of_target = [section.data for section in sections if isinstance(section, Target)]
    for section in sections:
        if not isinstance(section, Source) or section.columns != "own":
            continue
        if not columns[section.data] or section.data.startswith("text:"):
            found = f'beside "{section.data}"'
            raise wrong('`columns = "own"`', expected="given for tables of files only", found=found)
        if section.data in of_target:
            expected, found = "left out for the target's own file", f'beside "{section.data}"'
            raise wrong('`columns = "own"`', expected=expected, found=found)


def _group(section: Data) -> set[str]:
    """Name the column that keeps rows together, which is an input only where it holds ids."""
    return {section.split.group} - set(section.ids)


def _check_drop(sections: Sequence[Data], columns: Mapping[str, Sequence[str]]) -> None:
    there = {name for names in columns.values() for name in names}
    for section in sections:
        if section.drop and not columns[section.data]:
            raise wrong("`drop`", expected="given for tables and text only", found=f'beside "{section.data}"')
        for name in section.drop:
            if name not in there:
                raise unknown(f"column to drop, beside {section.data!r},", name, there)


def _unshared(columns: Mapping[str, Sequence[str]], spare: set[str]) -> set[str]:
    """Give the columns that not all tables have, with a warning for each table that lacks some.

    Args:
        columns: of each reference.
        spare: those that are no inputs anyway.
    """
    tables = {
        data: {name: None for name in names if name not in spare}  # in their order
        for data, names in columns.items()
        if names and not data.startswith("text:")  # which has one column of inputs
    }
    every = {name: None for names in tables.values() for name in names}
    lost = {data: [name for name in every if name not in names] for data, names in tables.items()}
    left_out = {name for names in lost.values() for name in names}
    if every and len(left_out) == len(every):
        raise wrong(
            "tables of the problem",
            expected="with at least one column in common beside labels",
            found="; ".join(f"{_file(data)} with {', '.join(names)}" for data, names in tables.items()),
            hint='give columns of one meaning one name, or write columns = "own" beside the source: then a '
            "few ways learn from it (docs: domains, other columns)",
        )
    for data, names in lost.items():
        if names:
            told = listed(names, '"')
            warnings.warn(
                f"{_file(data)} has no {told}; left out of the other tables too", UserWarning, stacklevel=6
            )
    return left_out


def _file(data: str) -> str:
    return f"`{data.partition(':')[2].rpartition('#')[0]}`"


# Reading.


@dataclass(frozen=True)
class _Reading:
    """How all data of a problem are read: from where, without which columns, cut by which tokenizer."""

    base: Path
    drop: Sequence[str]
    tokens: str | None
    divided: Divided = field(default_factory=dict)


def _read(section: Data, before: Sequence[Task], how: _Reading) -> list[Task]:
    """Read data like the first of the tasks before, if they can be; the same data are divided as then."""
    resize = tuple(section.resize) if isinstance(section.resize, list) else section.resize
    alike, texts = before[0].encoding if before and section.resize is None else None, False
    own = isinstance(section, Source) and section.columns == "own"
    like = alike if own and isinstance(alike, TableEncoding) else None
    if own:
        alike = None
    if alike is not None:  # what makes a source's rows like the target's (columns, words, pixels)
        same = alike.reads(section.data.partition(":")[0])
        texts = reads_texts(section.data) and alike.reads("text")
        same = (same or texts) and not (texts and how.tokens)  # which gives all texts the same numbers
        alike = alike.alike() if same else None
    if longer := texts and isinstance(alike, TextEncoding):  # not cut to the length of those before
        alike = dataclasses.replace(alike, length=max(alike.length, LENGTH))
    found = read(
        section.data,
        base=how.base,
        split=_split(section, how),
        resize=resize,  # type: ignore[arg-type]
        skip_broken=section.skip_broken,
        encoding=alike,
        like=like,
        drop=how.drop,
        ids=section.ids,
        kind=section.kind or _kinds(section, before),
        tokens=None if section.data.startswith("npz:") else how.tokens,  # whose rows are numbers already
    )
    return shortened(found) if longer else found


def _split(section: Data, reading: _Reading) -> SplitSpec:
    """Say how rows are divided: as by the target that reads the same data, if there is one.

    Labels that nothing may learn from are all for the test, unless the file says otherwise.
    """
    how, task = reading.divided.get(data_of(section.data, reading.base), (section.split, None))
    files = task is not None and task.encoding is not None and reads_files(section.data)
    parts, said = how.model_dump(), how.model_fields_set
    if isinstance(section, Target) and section.labels == "none" and not said & {"test", "valid"}:
        parts["test"] = LABELLED
    return SplitSpec(**parts, rows=task.encoding.division if files else None)  # type: ignore[union-attr]


def _kinds(section: Data, before: Sequence[Task]) -> dict[str, LabelKind]:
    """Say what the label columns are that a task before has too: the same."""
    known: dict[str, LabelKind] = {
        task.encoding.target: "classes" if task.kind.classes else "numbers"
        for task in before
        if task.encoding is not None
    }
    return {name: known[name] for name in label_columns(section.data) if name in known}


def _targets(section: Target, before: Sequence[Task], how: _Reading, *, alone: bool) -> list[Task]:
    """Read a target, which may be several tasks on the same rows; those after the first are read like it."""
    tasks = _read(section, before, how)
    if alone and len(tasks) != 1:
        names = [t.name for t in tasks]
        part = "column" if reads_files(section.data) else "name"
        hint = f"keep one {part} after the # of `target.data` ({section.data!r}), or write [[targets]]"
        if "#" not in section.data:
            hint = f'name one of them: target.data = "{section.data}#{names[0]}", or write [[targets]]'
        found = f"{len(tasks)}: {names}"
        raise wrong("`target.data`", expected="one task", found=found, hint=hint)
    if section.name and len(tasks) == 1:
        tasks = [dataclasses.replace(tasks[0], name=section.name)]
    if section.labels == "all":
        return tasks
    if section.shots is not None:
        expected = 'left out where `target.labels` is "none"'
        raise wrong("`target.shots`", expected=expected, found=section.shots)
    return [unlabel(task) for task in tasks]


def _source(section: Source, targets: Sequence[Task], how: _Reading) -> list[Task]:
    with warnings.catch_warnings():  # a source's test rows are never used
        warnings.filterwarnings("ignore", message=".* are equal to a train row")
        return _read(section, targets, how)


def _named(found: Sequence[Task], section: Source, taken: Sequence[str]) -> list[Task]:
    """Give the tasks of a source names that are not taken."""
    tasks: list[Task] = []
    for task in found:
        wanted = section.name or task.name
        if wanted in (known := [*taken, *(t.name for t in tasks)]):
            path = Path(section.data.partition(":")[2].partition("#")[0])
            origin = path.stem or section.data.partition("#")[0]
            wanted = f"{wanted} of {origin}".replace(".", "_")
        name, number = wanted, 2
        while name in known:
            name, number = f"{wanted} {number}", number + 1
        tasks.append(dataclasses.replace(task, name=name))
    return tasks
