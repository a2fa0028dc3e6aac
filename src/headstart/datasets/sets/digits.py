"""The digits that ship with scikit-learn."""

from __future__ import annotations

import torch

from ...errors import wrong
from ...tasks import Multiclass, Task
from ..options import Options, Reader
from ..readers.images import ImageEncoding
from ..splits import SplitSpec, build, divide

SPLIT = SplitSpec(test=0.4, seed=0)


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


def read(argument: str, options: Options) -> list[Task]:
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
        part: index[number[y[index]] >= 0] for part, index in divide(SPLIT, len(y), y.tolist()).items()
    }
    name = f"digits_{argument}" if argument else "digits"
    return build(
        [(name, Multiclass(chosen), number[y])], x, division, ImageEncoding(reader="images", shape=(1, 8, 8))
    )


READER = Reader(read, 'scans of 8 x 8 that ship with scikit-learn: "digits:5-9"')
