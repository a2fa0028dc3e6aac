"""What a model says of rows, and how that is written to a table.

Shapes: ``n`` rows, ``C`` classes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..datasets.readers.maps import write_maps
from ..datasets.readers.masks import write_masks
from ..errors import wrong
from ..tasks import Kind, Label


@dataclass(frozen=True, eq=False)
class Predictions:
    """Hold the answers to rows, in the rows' order.

    Args:
        kind: what an answer is.
        outputs: of the head, ``(n, ...)``, on the CPU.
        files: what each row was read from, where that is a file of its own; else empty.
        words_at: the places of each row where words begin, where answers are of words; ``None`` gives an
            answer for each place.
        unknown: what stands in place of an answer that is less probable than ``least``; ``None`` lets every
            answer stand. A row of no class that was learned is often, not always, such a one.
        least: probability, above 0 and below 1.

    Raises:
        ValueError: if answers are to be unknown, and are not one class for each row, ``least`` is out of its
            range, or ``unknown`` is one of the classes.

    Example:
        >>> import torch
        >>> from headstart.tasks import Multiclass
        >>> said = Predictions(Multiclass(["bolt", "nut"]), torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
        >>> said.labels
        ['nut', 'bolt']
        >>> print(said.to_csv(), end="")
        prediction,probability,p(bolt),p(nut)
        nut,0.880797,0.119203,0.880797
        bolt,0.731059,0.731059,0.268941
    """

    kind: Kind
    outputs: Tensor
    files: Sequence[str] = ()
    words_at: Sequence[Sequence[int]] | None = None
    unknown: Label | None = None
    least: float = 0.5

    def __post_init__(self) -> None:
        if self.unknown is None:
            return
        if not (self.kind.exclusive and self.kind.per_row):
            raise wrong(
                "answers, of which some are `unknown`",
                expected="one class for each row",
                found=self.kind.describe(),
            )
        if not 0 < self.least < 1:
            raise wrong("`least`", expected="a probability above 0 and below 1", found=self.least)
        if self.unknown in self.kind.classes:
            raise wrong("`unknown`", expected="none of the classes", found=f"{self.unknown!r}")

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def labels(self) -> list[Any]:
        """The answers, in the user's own labels; of a text with one for each word, a list of them."""
        said = self.kind.decode(self.outputs)
        if self.unknown is not None:
            sure = (self.probabilities.max(1).values >= self.least).tolist()
            return [label if known else self.unknown for label, known in zip(said, sure, strict=True)]
        if self.words_at is None or self.kind.axes != 1:
            return said
        return [[row[i] for i in at] for row, at in zip(said, self.words_at, strict=True)]

    @property
    def probabilities(self) -> Tensor:
        """The probability of each class, ``(n, C)`` float64.

        Raises:
            ValueError: if the answers are of a kind without them.
        """
        p = self.kind.probabilities(self.outputs.double())
        if p is None:
            raise wrong(
                "the model's answers",
                expected="classes with probabilities",
                found=self.kind.describe(),
                hint="call `predict`",
            )
        return p

    def to_masks(self, folder: Path) -> None:
        """Write a grey PNG for each image: the class of each pixel, its number where it is a word.

        Maps of numbers are written as ``.npy``, float32. Files are named after the images' files, or by the
        number of the row; others stay.

        Raises:
            ValueError: if answers are not of pixels, or there are more classes than 256.
        """
        classes = self.kind.classes
        names = [Path(file).stem for file in self.files] or [f"{i}" for i in range(len(self))]
        if self.kind.place == "pixel" and not classes:
            return write_maps(folder, self.labels, names)
        if self.kind.place != "pixel" or len(classes) > 256:
            expected = "a number, or one of at most 256 classes, for each pixel"
            raise wrong("the model's answers", expected=expected, found=self.kind.describe())
        own = all(type(c) is int and 0 <= c <= 255 for c in classes)
        value = np.array(classes if own else range(len(classes)), dtype=np.uint8)
        return write_masks(folder, value[self.kind.stored(self.outputs).numpy()], names)

    def to_csv(self, *, formulas: bool = False) -> str:
        """Write a table with a row for each answer, or for each box.

        Of masks it has the share of each class, of maps of numbers their mean, lowest and highest.

        Columns: ``file`` (where there are files), ``prediction``, ``probability`` (of that prediction,
        where a row is of one class), ``p(...)`` of each class. Of boxes ``file``, or ``row`` from 0,
        ``prediction``, ``score``, and the sides in shares of the image.

        Args:
            formulas: write names that a spreadsheet would run as formulas, such as ``=1+1``, as they are; by
                default a quote stands before them.
        """
        if self.kind.place == "object":
            name, names = ("file", self.files) if self.files else ("row", range(len(self)))
            found = [(at, box) for at, row in zip(names, self.labels, strict=True) for box in row]
            sides = ("score", "left", "top", "right", "bottom")
            told = ((side, [f"{getattr(box, side):.4f}" for _, box in found]) for side in sides)
            named = [(name, [at for at, _ in found]), ("prediction", [box.label for _, box in found])]
            return _table(formulas, [*named, *told])
        files: list[tuple[str, Sequence[Any]]] = [("file", self.files)] if self.files else []
        if self.kind.place == "pixel" and not self.kind.classes:
            maps = self.kind.stored(self.outputs).double().flatten(1)
            some = {"mean": maps.mean(1), "lowest": maps.amin(1), "highest": maps.amax(1)}
            return _table(formulas, [*files, *((name, _short(value)) for name, value in some.items())])
        if self.kind.place == "pixel":
            masks = self.kind.stored(self.outputs)
            return _table(formulas, [*files, *((f"share({c})", _short((masks == i).double().mean((1, 2))))
                                     for i, c in enumerate(self.kind.classes))])  # fmt: skip
        said = [" ".join(map(str, a)) if np.ndim(a) else a for a in self.labels]  # several in one cell
        columns = [*files, ("prediction", said)]
        if (p := self.kind.probabilities(self.outputs.double())) is not None:
            if self.kind.exclusive:
                columns += [("probability", _short(p.max(1).values))]
            columns += [(f"p({c})", _short(column)) for c, column in zip(self.kind.classes, p.T, strict=True)]
        return _table(formulas, columns)


def _table(formulas: bool, columns: Sequence[tuple[str, Sequence[Any]]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    cell = str if formulas else _quoted
    writer.writerow([cell(name) for name, _ in columns])
    writer.writerows([cell(value) for value in row] for row in zip(*(v for _, v in columns), strict=True))
    return text.getvalue()


def _quoted(value: Any) -> str:
    """Put a quote before text that a spreadsheet would take for a formula; numbers stay."""
    text = str(value)
    if not text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return text
    try:
        list(map(float, text.split()))  # several answers stand in one cell
    except ValueError:
        return f"'{text}"
    return text


def _short(values: Tensor) -> list[str]:
    return [f"{value:.6g}" for value in values.tolist()]
