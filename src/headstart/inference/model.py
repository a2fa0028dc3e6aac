"""A model in use: answers in the user's own labels, from whatever the user has.

Shapes: ``n`` rows, ``C`` classes.
"""

from __future__ import annotations

import copy
import html
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch

from .. import datasets, engine, models
from ..atomic import write_together
from ..datasets import Encoding, SplitSpec
from ..datasets.references import label_columns
from ..datasets.splits import few_differ, fingerprints
from ..engine import Estimate
from ..errors import unknown, wrong
from ..maths.random import generator
from ..meta import (
    ANIL,
    MAML,
    BaselinePlusPlus,
    CosineProtoNet,
    FewShot,
    Logistic,
    Matching,
    ProtoNet,
    Ridge,
    Siamese,
    SimpleShot,
)
from ..models import Net, device_of, width_of
from ..models.net import as_backbone
from ..seams import TaskAdaptation
from ..tasks import Kind, Label, Labelled, Multiclass, Task, X
from ..tasks.arrays import lit
from ..tasks.finite import check_finite_rows
from ..tasks.nouns import Lazy, move, take, tensors
from ..tasks.nouns import rows as count
from . import card, exporting, files, rows
from .labels import as_task, check_alike, check_one_class, check_same, labelled, of_classes, renumbered
from .predictions import Predictions

COMPARED, MADE_UP = 100, 40  # rows that an exported file is asked: at most, and where none are given
METHODS: dict[str, Callable[[str], TaskAdaptation]] = {  # those that need no meta-training
    "protonet": ProtoNet,
    "cosine": CosineProtoNet,
    "simpleshot": SimpleShot,
    "matching": Matching,
    "siamese": Siamese,
    "ridge": Ridge,
    "logistic": Logistic,
    "baseline++": BaselinePlusPlus,
    "anil": partial(ANIL, lr=0.1, steps=50),
    "maml": partial(MAML, lr=0.1, steps=10),
}


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """Use a net: ask it, measure it, teach it new classes. ``hs.load`` makes one of a directory.

    Rows may be given as a tensor, a NumPy array, a pandas or polars DataFrame, a list of texts, of lists
    of words, of image files or of images of Pillow, a map-style ``Dataset``, or as a path or data reference
    (``"csv:new.csv"``, ``"images:folder"``). The model's encoding makes them into what it was trained
    on; nothing of the caller's is written to. A model without an encoding takes tensors and arrays.

    Args:
        net: in eval mode, on the device to compute on.
        kinds: what the answer of each head is, with the user's own class names.
        encoding: how rows are made.
        notes: whatever was saved beside the model.
        few: the support rows and the way to learn from them, where the model has learned from few.
        where: how messages call it.
        directory: that it was loaded from.

    Example:
        >>> from headstart.models import mlp
        >>> import numpy as np
        >>> kind = Multiclass(["bolt", "nut"])
        >>> model = Model(Net(mlp(2), {"parts": kind.head(40)}), {"parts": kind})
        >>> few = model.adapt([[0.0, 9.0], [9.0, 0.0]], ["washer", "screw"])
        >>> few.classes, few.predict(np.array([[8.0, 1.0]]))
        (('washer', 'screw'), ['screw'])
    """

    net: Net
    kinds: Mapping[str, Kind]
    encoding: Encoding | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    few: FewShot | None = None
    where: str = "the model"
    directory: Path | None = None

    # Answers.

    @property
    def classes(self) -> tuple[Label, ...]:
        """The classes, by the user's own names; none for numbers.

        Raises:
            ValueError: if there are several heads: ``model.kinds[name].classes`` has those of each.
        """
        return self.kinds[self._head(None)].classes

    def predict(
        self, x: Any, *, task: str | None = None, unknown: Label | None = None, least: float = 0.5
    ) -> list[Any]:
        """Answer each row, in the user's own labels.

        Args:
            x: rows, in any of the forms that the class lists.
            task: which head, where there are several.
            unknown: what to answer where the most probable class is less probable than ``least``; ``None``
                answers always.
            least: see ``unknown``.

        Raises:
            ValueError: if rows are not such as the model takes, ``task`` is not a head of it, or answers are
                to be unknown and are not one class for each row.
            TypeError: if ``x`` is nothing that rows can be made of.
        """
        return self.answer(x, task=task, unknown=unknown, least=least).labels

    def predict_proba(self, x: Any, *, task: str | None = None) -> torch.Tensor:
        """Return the probability of each class, ``(n, C)`` in the order of ``classes``, on the CPU.

        Raises:
            ValueError: as in ``predict``; or if the answers are of a kind without probabilities.
        """
        return self.answer(x, task=task).probabilities

    def answer(
        self,
        x: Any,
        *,
        task: str | None = None,
        skip_broken: bool = False,
        unknown: Label | None = None,
        least: float = 0.5,
    ) -> Predictions:
        """Answer each row, with all that is known: labels, probabilities, the files, a table of them.

        Args:
            x: as in ``predict``.
            task: which head, where there are several.
            skip_broken: leave out files of a folder that do not decode, with a warning that counts them;
                the answer's ``files`` tell which are left.
            unknown: as in ``predict``.
            least: as in ``predict``.
        """
        name = self._head(task)
        inputs, named = self._inputs(x, name, skip_broken)
        words = self.encoding.words_at(inputs) if self.encoding and isinstance(inputs, torch.Tensor) else None
        outputs = engine.predict(self.net, name, inputs).cpu()
        check_finite_rows(outputs, f"answers of {self.where}")
        return Predictions(self.kinds[name], outputs, named, words, unknown, least)

    def rows(self, x: Any, *, task: str | None = None) -> X:
        """Make what is in memory into the rows that the net takes.

        Raises:
            ValueError: if they have another form, or hold NaN or infinity.
            TypeError: if ``x`` is nothing that rows can be made of.
        """
        name = self._head(task)
        if self.encoding is not None:
            made = rows.encoded(x, self.encoding)
        else:
            dtype = next((p.dtype for p in self.net.parameters() if p.is_floating_point()), torch.float32)
            made = rows.plain(x, partial(self._try_as_given, name), dtype)
        check_finite_rows(made, "`x`")
        return made

    # Measures.

    def evaluate(self, data: Any, labels: Any = None, *, task: str | None = None) -> dict[str, Estimate]:
        """Measure the model on labelled rows, each metric with a 95 % interval.

        Args:
            data: a data reference with a label (``"csv:new.csv#label"``) or a ``Task``, whose test part
                is used where it has one, else all rows; or, beside ``labels``, rows as in ``predict``.
            labels: one per row, in the user's own labels; rows where it is missing are left out.
            task: which head, where there are several.

        Raises:
            ValueError: if rows are not such as the model takes, or a label is none of its classes.
        """
        name = self._head(task)
        if labels is not None:
            x, given = labelled(self._inputs(data, name)[0], labels)
            kind = self.kinds[name]
            own = Task(name, kind, Labelled(x, self._lined_up(x, kind.encode(given), kind)))
        elif (reference := rows.reference(data)) is not None:
            own = self.read(reference, task=name)
        else:
            own = self._own(as_task(data), name)
        return engine.evaluate(self.net, own, self.unseen(own))

    def unseen(self, own: Task) -> Labelled | Lazy:
        """Give the rows of a task to measure on: its test part, else all that were not trained on.

        Rows are told by inputs and label, and one that was trained on once is left out once. Where the rows
        hold all that were trained on, those left are exactly the others. Where they hold some, these are
        left out unless rows are equal by nature (few of those trained on differ in their inputs), when new
        rows look the same. Warns of what it did; where no other rows are there, all are measured on.
        """
        rows_, known = own.test or own.train, [tuple(row) for row in self.notes.get("trained", ())]
        if not rows_.held or not known:
            return rows_
        left, new = Counter(known), []
        for row in fingerprints(rows_):
            new.append(not left[row])
            left[row] -= not new[-1]
        count = new.count(False)
        if not count:
            return rows_
        told, inputs = f"{count} of {len(new)} rows", [row[0] for row in known]
        if count < len(known) and few_differ(inputs):
            told += (
                f" are equal to rows that were trained on, and are kept: those have {len(set(inputs))} "
                f"different inputs among {len(inputs)}, so new rows are equal to them as well"
            )
            new = [True] * len(new)
        elif any(new):
            told += " were trained on and are left out"
        else:
            told += " were trained on: what is measured is how well they are remembered"
            new = [True] * len(new)
        warnings.warn(told, UserWarning, stacklevel=3)
        return rows_ if all(new) else rows_.take(torch.tensor(new).nonzero().flatten())

    def read(self, reference: str, *, task: str | None = None, skip_broken: bool = False) -> Task:
        """Read labelled rows as the model's own task: made and numbered as those it was trained on.

        Args:
            reference: to data with labels, as in ``"csv:new.csv#label"``.
            task: which head, where there are several; of several label columns, the one of that name.
            skip_broken: as in ``answer``.

        Raises:
            ValueError: if a label is none of the model's classes, or there are several and none is its own.
        """
        name = self._head(task)
        found = datasets.read(
            reference,
            split=SplitSpec(test=0),
            skip_broken=skip_broken,
            encoding=self.encoding,
            kind=dict.fromkeys(
                label_columns(reference), "classes" if self.kinds[name].classes else "numbers"
            ),
        )
        chosen = next((t for t in found if t.name == name), found[0])
        if len(found) > 1 and chosen.name != name:
            raise wrong("data", expected="one label column", found=[t.name for t in found])
        own = self._own(chosen, name)
        if self.encoding is not None:
            files.warn_of_sizes(reference, self.encoding)
        return own

    # New classes.

    def adapt(self, data: Any, labels: Any = None, *, method: str = "protonet", name: str = "") -> Model:
        """Teach a copy of the model new classes from a few labelled rows of each.

        Args:
            data: a data reference with a label or a ``Task``, whose train rows are learned from; or, beside
                ``labels``, rows as in ``predict``.
            labels: one per row, strings or any integers.
            method: ``"protonet"``, ``"cosine"``, ``"simpleshot"``, ``"matching"``, ``"siamese"``,
                ``"ridge"``, ``"logistic"``, ``"baseline++"``, ``"anil"`` or ``"maml"``.
            name: of the new task; that of the data by default, or of the model's first head.

        Returns:
            a model of the new classes; ``save`` keeps it, ``add_class`` teaches it one more.

        Raises:
            ValueError: if ``method`` is not known, or rows are not of one class each.
        """
        if method not in METHODS:
            raise unknown("`method`", method, METHODS)
        own = next(iter(self.kinds))
        if labels is not None:
            x, given = labelled(self._inputs(data, own)[0], labels)
            few = of_classes(own, x, given)
        elif (reference := rows.reference(data)) is not None:
            few = self.examples(reference)
        else:
            few = as_task(data)
        few = replace(few, name=name or few.name)
        return self._learned(few, METHODS[method](few.name))

    def examples(self, reference: str, *, skip_broken: bool = False) -> Task:
        """Read labelled rows of new classes, made as those the model was trained on.

        Args:
            reference: to data with one label column, as in ``"csv:few.csv#label"``.
            skip_broken: as in ``answer``.

        Raises:
            ValueError: if rows are not of one class each.
        """
        alike = self._encoding().alike()
        classes = all(kind.classes for kind in self.kinds.values())
        few, *others = datasets.read(
            reference,
            split=SplitSpec(test=0),
            skip_broken=skip_broken,
            encoding=alike,
            kind=dict.fromkeys(label_columns(reference), "classes") if classes else None,
        )
        check_one_class(few, f"`{reference}`", columns=1 + len(others))
        files.warn_of_sizes(reference, alike)
        return few

    def add_class(self, name: Label, x: Any) -> Model:
        """Teach a copy of the model one more class from its rows, as in ``predict``; the others keep theirs.

        Raises:
            ValueError: if the class is there already, or the model has not learned from few rows.
        """
        if self.few is None:
            raise wrong(
                self.where,
                expected="one that learned from few rows",
                found="one without its rows",
                hint="call `adapt(x, labels)` with some of each class",
            )
        few = copy.copy(self.few).add_class(name, self._inputs(x, self._head(None))[0])
        return self._of(few, self.encoding and self.encoding.with_classes(few.classes))

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write a directory that ``hs.load`` and the command line read.

        Raises:
            OSError: if the files cannot be written.
        """
        if self.few is not None:
            return self.few.save(directory)
        return models.save(
            self.net, directory, kinds=self.kinds, encoding=self.encoding, notes=self.notes or None
        )

    def export(self, path: str | os.PathLike[str], data: Any = None) -> Path:
        """Write the model as one file that other programs run, and a card of it beside.

        The file takes rows as ``rows`` makes them, any number at a time, and of texts any length that the
        net takes. It has an output for each task, by its name: the probabilities of ``predict_proba``, in
        the order of the classes; of a task without classes, numbers in the unit of its labels. Its answers
        are compared with the model's before it is written. The card stands in ``PATH.md`` to be read and in
        ``PATH.json`` for programs: classes, how rows are made, the difference, and where the model is from.

        Args:
            path: ends in ``.onnx`` (needs ``headstart[onnx]``), or in ``.pt2`` for ``torch.export.load``.
            data: rows to compare on, as in ``predict``; a hundred at most are used. Without it rows are made
                up by their shape.

        Returns:
            the file.

        Raises:
            ValueError: if the net cannot be written so, or the file answers otherwise than the model.
            ModuleNotFoundError: if a library is missing.
            OSError: if the files cannot be written.
        """
        path = Path(path)
        exporting.need(path)
        x, told = self._to_compare(data)
        written, checked = exporting.written(self.net, self.kinds, x, path)
        about = card.card(
            path.name, written, self.net, self.kinds, self.encoding, self.notes, self.directory, checked, told
        )
        text = json.dumps(about, indent=1, ensure_ascii=False, default=str) + "\n"
        page = card.page(about)
        pages = {f"{path.name}.json": text.encode(), f"{path.name}.md": page.encode()}
        write_together(path.parent, {path.name: written, **pages})
        return path

    def _to_compare(self, data: Any) -> tuple[X, str]:
        """Give rows that two ways to answer are compared on, and say where they are from."""
        if data is not None:
            x, _ = self._inputs(data, next(iter(self.kinds)))
            x = take(x, torch.arange(min(COMPARED, count(x))))
            return move(x, torch.device("cpu")), rows.reference(data) or "the caller's"
        if self.encoding is None:
            hint = "pass a few as `data=DATA`"
            raise wrong(
                "rows to compare on", expected="given", found="a model without an encoding", hint=hint
            )
        return self.encoding.made_up(MADE_UP, generator("export")), "made up by their shape"

    # How it shows itself.

    def __repr__(self) -> str:
        heads = ", ".join(f"{name}: {kind.describe()}" for name, kind in self.kinds.items())
        return f"Model({heads}; on {device_of(self.net)})"

    def _repr_html_(self) -> str:
        """Show the model in a notebook, as a small table."""
        encoding, notes = (
            self.encoding,
            json.dumps({k: v for k, v in self.notes.items() if k != "trained"}, ensure_ascii=False),
        )
        shape = " x ".join(map(str, encoding.row_shape())) if encoding else ""
        made = f"{encoding.reader}, {shape}" if encoding else "tensors, as it was trained on"
        lines = [
            cells
            for name, kind in self.kinds.items()
            for cells in (("task", name), ("kind", kind.name), ("answers", kind.describe()))
        ]
        lines += [("rows", made), ("notes", shorten(notes, 200)), ("device", str(device_of(self.net)))]
        body = "".join(f"<tr><th>{key}</th><td>{html.escape(value)}</td></tr>" for key, value in lines)
        return f"<table>{body}</table>"

    # The work.

    def _head(self, asked: str | None) -> str:
        """Choose a head: the one that is asked for, or the only one."""
        if asked is not None and asked not in self.kinds:
            raise unknown("`task`", asked, self.kinds)
        if asked is None and len(self.kinds) > 1:
            raise wrong("`task`", expected=f"one of {sorted(self.kinds)}", found="none")
        return asked or next(iter(self.kinds))

    def _encoding(self) -> Encoding:
        """Return how rows are made of files, which has to be known."""
        if self.encoding is None:
            hint = "save it with `encoding=task.encoding`"
            raise wrong(self.where, expected="told how rows are made", found="no encoding", hint=hint)
        return self.encoding

    def _inputs(self, x: Any, name: str, skip_broken: bool = False) -> tuple[X, list[str]]:
        """Make rows of what is in memory, or of what a reference names; and list their files, if any."""
        if (reference := rows.reference(x)) is None:
            return self.rows(x, task=name), []
        return files.rows_of(reference, self._encoding(), skip_broken)

    def _lined_up(self, x: X, y: torch.Tensor, kind: Kind) -> torch.Tensor:
        """Put answers to words where the words begin in rows."""
        if kind.axes != 1 or self.encoding is None or not isinstance(x, torch.Tensor):
            return y
        return self.encoding.line_up(x, y)

    def _own(self, given: Task, name: str) -> Task:
        """Make a task the model's own: its rows those that the net takes, its labels the model's numbers."""
        check_alike(given.encoding, self.encoding)
        kind = self.kinds[name]

        def part(data: Labelled | Lazy | None) -> Labelled | Lazy | None:
            if data is None:
                return None
            if not data.held:
                check_same(given.kind, kind)
                return data
            return replace(data, x=self._sure(data.x, name), y=renumbered(data.y, given.kind, kind))

        return Task(name, kind, part(given.train), test=part(given.test))  # type: ignore[arg-type]

    def _sure(self, x: X, name: str) -> X:
        """Make rows of a task's into rows that the net takes indeed; ``ValueError`` where it does not."""
        return rows.taken([self.rows(x, task=name)], partial(self._try, name))

    def _try_as_given(self, name: str, x: X) -> None:
        """Run the net as ``_try`` does, but take no bytes: the scale that it was trained on is not known."""
        if as_backbone(self.net.backbone) is not None and any(t is not lit(t) for t in tensors(x)):
            raise ValueError("pixels of 8 bits")
        self._try(name, x)

    def _try(self, name: str, x: X) -> None:
        """Run the net on the first rows; an error of any kind where it does not take them."""
        some = take(x, torch.arange(min(2, count(x))))
        try:
            said = engine.predict(self.net, name, some, progress=False)
        except FloatingPointError:  # the form fits, and `rows` tells of what is no number
            return
        if len(said) != count(some):
            raise ValueError(f"{len(said)} answers to {count(some)} rows")

    def _learned(self, few: Task, adaptation: TaskAdaptation) -> Model:
        """Teach a copy the classes of a task, by its train rows that have a label."""
        examples = check_one_class(few, "examples").known()
        check_alike(few.encoding, self.encoding)
        x, device = self._sure(examples.x, next(iter(self.kinds))), device_of(self.net)
        width = width_of(self.net.backbone, move(take(x, torch.tensor([0])), device))
        with torch.random.fork_rng(devices=[]):
            head = few.kind.head(width)
        for parameter in head.parameters():
            parameter.data.zero_()  # every class alike before the first step
        net = Net(self.net.backbone, {few.name: head.to(device)})
        made = self.encoding and self.encoding.alike().asking(few.name, few.kind)
        learner = FewShot(net, adaptation)
        learner.fit(x, [few.kind.classes[i] for i in examples.y.tolist()])
        return self._of(learner, few.encoding or made)

    def _of(self, few: FewShot, encoding: Encoding | None) -> Model:
        few.encoding = encoding
        kinds = {few.adaptation.task: Multiclass(few.classes)}
        return Model(few.net.to(device_of(self.net)), kinds, encoding, few=few, where=self.where)
