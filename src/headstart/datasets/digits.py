"""The digits that ship with scikit-learn, and rotations as extra classes."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..errors import wrong
from ..tasks import Labelled, Multiclass, Task
from .options import Options
from .splits import SplitSpec, build, divide

DIGITS_SPLIT = SplitSpec(test=0.4, seed=0)


def _chosen(argument: str) -> list[int]:
    try:
        ends = [[int(end) for end in part.split("-")] for part in (argument or "0-9").split(",")]
        chosen = sorted({digit for end in ends for digit in range(end[0], end[-1] + 1)})
    except ValueError:
        chosen = []
    if len(chosen) < 2 or not set(chosen) <= set(range(10)):
        raise wrong(
            "part of `digits`",
            expected='two digits or more, as in "0-4" or "1,3,7"',
            found=f'"{argument}"',
        )
    return chosen


def read_digits(argument: str, options: Options) -> list[Task]:
    """Read ``digits``, ``digits:5-9`` or ``digits:1,3,7``: 1797 scans of 8 x 8 pixels in [0, 1].

    The set has no test part of its own: a fixed, stratified 40 % of all 1797 rows is the test part
    here, the same rows whichever digits are chosen and whatever split is asked for.
    """
    from sklearn.datasets import load_digits

    chosen = _chosen(argument)
    bunch = load_digits()
    x = torch.from_numpy(bunch.images).float().div(16).unsqueeze(1)
    y = torch.from_numpy(bunch.target).long()
    number = torch.full((10,), -1)
    number[chosen] = torch.arange(len(chosen))
    division = {
        part: index[number[y[index]] >= 0] for part, index in divide(DIGITS_SPLIT, len(y), y.tolist()).items()
    }
    name = f"digits_{argument}" if argument else "digits"
    return build(
        [(name, Multiclass(chosen), number[y])], x, division, {"reader": "images", "shape": [1, 8, 8]}
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
    x = data.x if isinstance(data, Labelled) else None
    if not kind.extensible or not isinstance(x, torch.Tensor) or x.ndim != 4 or x.shape[2] != x.shape[3]:
        raise wrong(
            f"task {task.name!r} to rotate",
            expected="classes of square images (B, C, H, H) in tensors",
            found=f"{kind.name} of {tuple(x.shape) if isinstance(x, torch.Tensor) else x}",
        )
    assert isinstance(data, Labelled)
    count = len(kind.classes)
    classes = list(kind.classes) + [f"{name} rot{90 * k}" for k in (1, 2, 3) for name in kind.classes]
    turned = torch.cat([x.rot90(k, (2, 3)) for k in range(4)])
    y = torch.cat([torch.where(data.y >= 0, data.y + k * count, data.y) for k in range(4)])
    encoding = None if task.encoding is None else dict(task.encoding) | {"classes": classes}
    return replace(task, kind=Multiclass(classes), train=Labelled(turned, y), encoding=encoding)
