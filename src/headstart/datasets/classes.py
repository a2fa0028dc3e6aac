"""Fewer classes, or more: some left out, or turned images as classes of their own."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import wrong
from ..tasks import Labelled, Lazy, Multiclass, Task
from ..tasks.nouns import parts


def keep_classes(task: Task, keep: list[int]) -> Task:
    """Leave only some classes of a ``Multiclass`` task, numbered anew, in every part."""
    kind = task.kind
    number = torch.full((len(kind.classes),), -1)
    number[keep] = torch.arange(len(keep))

    def anew(y: Tensor) -> Tensor:
        return torch.where(y >= 0, number[y.clamp(min=0)], y)

    def part(data: Labelled | Lazy | None) -> Labelled | Lazy | None:
        if data is None or not data.held:
            return data
        y = anew(data.y)
        at = (y != -1).nonzero()[:, 0]
        return replace(data, y=y).take(at)

    classes = [kind.classes[k] for k in keep]
    encoding = None if task.encoding is None else task.encoding.with_classes(classes)
    prior = None if task.prior is None else anew(task.prior)
    return replace(
        task,
        kind=Multiclass(classes),
        encoding=encoding,
        train=part(task.train),  # type: ignore[arg-type]
        valid=part(task.valid),
        test=part(task.test),
        prior=None if prior is None else prior[prior != -1],
    )


def rotations(task: Task) -> Task:
    """Add the training images turned by 90, 180 and 270 degrees, each turn as a class of its own.

    With C classes, the images of class c turned k times get the number ``c + k C`` and the name
    ``"<name> rot90"`` and so on. Valid and test rows stay unturned, under their old numbers.

    Args:
        task: a ``Multiclass`` task with square images ``(B, C, H, H)`` in tensors.

    Raises:
        ValueError: for another kind of task, or images that are not square.

    Example:
        >>> task = Task("shapes", Multiclass([3, 5]), Labelled(torch.rand(4, 1, 8, 8), torch.arange(4) % 2))
        >>> turned = rotations(task)
        >>> len(turned.train), turned.kind.classes[:4]
        (16, (3, 5, '3 rot90', '5 rot90'))

    References:
        Santoro et al. (ICML 2016), section 4.1, https://arxiv.org/abs/1605.06065
    """
    data, kind = task.train, task.kind
    x = parts(data.x).get("") if data.held else None
    if not kind.extensible or not data.held or x is None or x.ndim != 4 or x.shape[2] != x.shape[3]:
        raise wrong(
            f"task {task.name!r} to rotate",
            expected="classes of square images (B, C, H, H) in tensors",
            found=f"{kind.name} of {None if x is None else tuple(x.shape)}",
        )
    count = len(kind.classes)
    classes = list(kind.classes) + [f"{name} rot{90 * k}" for k in (1, 2, 3) for name in kind.classes]
    turned = torch.cat([x.rot90(k, (2, 3)) for k in range(4)])
    y = torch.cat([torch.where(data.y >= 0, data.y + k * count, data.y) for k in range(4)])
    group = None if data.group is None else data.group.repeat(4)
    encoding = None if task.encoding is None else task.encoding.with_classes(classes)
    turns = Labelled(turned, y, group=group)
    return replace(task, kind=Multiclass(classes), train=turns, encoding=encoding, prior=None)
