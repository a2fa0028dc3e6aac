"""What kinds with classes share: the user's own names, and the numbers that stand for them."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...errors import did_you_mean, wrong
from .kind import Kind, Label
from .missing import MISSING, known

LISTED = 8  # classes that a description lists by name


def class_names(classes: int | Sequence[Label], *, least: int = 2) -> tuple[Label, ...]:
    """Turn a count or the user's own names into a tuple of distinct class names.

    Raises:
        ValueError: if there are fewer than ``least`` classes, or a name twice.

    Example:
        >>> class_names(3)
        (0, 1, 2)
    """
    names: tuple[Label, ...] = tuple(range(classes)) if isinstance(classes, int) else tuple(classes)
    if len(names) < least:
        raise wrong("`classes`", expected=f"at least {least} classes", found=f"{len(names)} {list(names)}")
    if len(set(names)) != len(names):
        twice = sorted({str(n) for n in names if names.count(n) > 1})
        raise wrong("`classes`", expected="distinct names", found=f"{twice} more than once")
    return names


def numbered(classes: tuple[Label, ...], labels: Sequence[Any] | Tensor) -> Tensor:
    """Number labels ``(B,)`` by the place of their class, int64; ``ValueError`` names an unknown one."""
    index = {name: i for i, name in enumerate(classes)}
    values = labels.tolist() if isinstance(labels, Tensor) else list(labels)
    unknown = [v for v in values if v not in index]
    if unknown:
        raise wrong(
            "label",
            expected=f"one of the {len(classes)} classes",
            found=repr(unknown[0]),
            hint=did_you_mean(str(unknown[0]), [str(c) for c in classes]),
        )
    return torch.tensor([index[v] for v in values], dtype=torch.long)


def listed(classes: Sequence[Label], what: str = "classes") -> str:
    """Count classes and list the first of them.

    Example:
        >>> listed([3, 8])
        '2 classes (3, 8)'
    """
    names = [str(c) for c in classes]
    some = ", ".join([*names[:LISTED], *(["..."] if names[LISTED:] else [])])
    return f"{len(names)} {what} ({some})"


def check_axes(y: Tensor, *axes: str) -> None:
    """Raise ``ValueError`` where targets do not have these axes."""
    if y.ndim != len(axes):
        shape = f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
        hint = "pass `y.squeeze(1)`" if y.ndim == 2 and y.shape[1] == 1 else ""
        if len(axes) == 1 and y.ndim == 2 and y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all()):
            hint = "of one-hot rows pass `y.argmax(1)`"
        raise wrong("`y`", expected=f"of shape {shape}", found=tuple(y.shape), hint=hint)


def check_numbers(y: Tensor, count: int) -> None:
    """Raise ``ValueError`` where targets are not numbers of ``count`` classes, or missing."""
    if y.dtype != torch.int64:
        gaps = y.is_floating_point() and bool(y.isnan().any())
        hint = f"pass `y.nan_to_num({MISSING}).long()`" if gaps else "pass `y.long()`"
        raise wrong("`y`", expected="class numbers (int64)", found=str(y.dtype), hint=hint)
    bad = y[(y != MISSING) & ((y < 0) | (y >= count))]
    if len(bad):
        raise wrong(
            "`y`",
            expected=f"class numbers in [0, {count}), or {MISSING} where missing",
            found=int(bad[0]),
        )


def shares_of(classes: tuple[Label, ...], numbers: Tensor) -> dict[Label, float]:
    """Give the share of each class among numbers ``(B,)`` that are not missing; all 0 where none is there.

    Example:
        >>> shares_of(("no", "yes"), torch.tensor([0, 0, 1, 0, -100]))
        {'no': 0.75, 'yes': 0.25}
    """
    there = numbers[known(numbers)]
    counts = there.bincount(minlength=len(classes)).double() / max(1, len(there))
    return dict(zip(classes, counts.tolist(), strict=True))


def suited_to(shares: dict[Label, float], main: str, what: str = "rows") -> tuple[str, str]:
    """Choose between the main measure and one that counts classes alike, and say why.

    A class is rare that has under a fifth of the rows, of two; of more, under a third of an even share.
    Classes that do not occur do not count.

    Example:
        >>> suited_to({"no": 0.925, "yes": 0.075}, "accuracy")
        ('balanced_accuracy', 'yes is 7.5 % of the rows, so classes count alike')
        >>> suited_to({"no": 0.55, "yes": 0.45}, "accuracy")
        ('accuracy', 'the rarest class, yes, is 45 % of the rows')
    """
    share, rarest = min(((s, c) for c, s in shares.items() if s), key=lambda pair: pair[0], default=(0, None))
    if not share:
        return main, "there is no label to tell the classes' shares by"
    is_ = f"is {100 * share:.3g} % of the {what}"
    if len(shares) == 2 and share < 1 / 5:
        return "balanced_accuracy", f"{rarest} {is_}, so classes count alike"
    if len(shares) > 2 and share < 1 / (3 * len(shares)):
        even = f"an even share is {100 / len(shares):.3g} %"
        return "balanced_accuracy", f"{rarest} {is_}, {even}, so classes count alike"
    return main, f"the rarest class, {rarest}, {is_}"


def below_the_top(outputs: Tensor) -> Tensor:
    """Keep logits ``(..., C)`` as what each lacks to the highest, float16 in [-60, 0]; only that is 0.

    Example:
        >>> below_the_top(torch.tensor([[3.0, 1.5, 3.0, -1e9]])).tolist()
        [[0.0, -1.5, -6.103515625e-05, -60.0]]
    """
    top = outputs.argmax(-1, keepdim=True)
    return (outputs - outputs.gather(-1, top)).clamp(-60, -(2.0**-14)).scatter(-1, top, 0).half()


@dataclass(frozen=True, init=False)
class Named(Kind, ABC):
    """Kinds with one output per class, whose names are the user's own."""

    classes: tuple[Label, ...]
    least: ClassVar[int] = 2

    def __init__(self, classes: int | Sequence[Label]) -> None:
        object.__setattr__(self, "classes", class_names(classes, least=self.least))

    @property
    def outputs(self) -> int:
        """Width of the head's output."""
        return len(self.classes)

    def describe(self) -> str:
        """Count the classes and list the first of them."""
        return listed(self.classes)
