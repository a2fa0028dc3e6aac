"""School: exam scores in London."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...errors import wrong
from ...tasks import Regression, Task
from ..options import Options, Reader
from ..readers.arrays import ArrayEncoding
from ..splits import build, divide
from .home import arrays
from .recipe import GITHUB, Content, Recipe, Source


def read(argument: str, options: Options) -> list[Task]:
    """Read ``school``: exam scores of pupils of 139 London schools, a regression for each school.

    ``split`` divides the rows, each school alike; published figures use ``SplitSpec(test=0.25)``.
    Features are year, school and pupil attributes as in the file, unscaled but for the two
    percentages, which are divided by 100. ``school:1,2,9`` reads some of them.

    References:
        Argyriou, Evgeniou & Pontil (Machine Learning 2008), section 5.2,
        https://doi.org/10.1007/s10994-007-5040-8
    """
    z = arrays("school/school.npz", RECIPES)
    count = int(z["task"].max()) + 1
    asked = [int(s) for s in argument.split(",") if s.isdigit()] if argument else list(range(1, count + 1))
    if not asked or not set(asked) <= set(range(1, count + 1)):
        raise wrong("schools", expected=f"numbers in [1, {count}]", found=f'"{argument}"')
    x = torch.from_numpy(z["x"]) / torch.where(torch.from_numpy(z["x"]).amax(0) > 1, 100.0, 1.0)
    y, school = torch.from_numpy(z["y"]), torch.from_numpy(z["task"].astype(np.int64))
    division = divide(options.split, len(y), school.tolist())
    encoding = ArrayEncoding(reader="npz", keys=("x",), shape=(x.shape[1],))
    tasks = []
    for number in asked:
        mine = {part: at[school[at] == number - 1] for part, at in division.items()}
        tasks += build([(f"school_{number}", Regression(), y)], x, mine, encoding)
    return tasks


def make(raw: Sequence[Path]) -> list[Content]:
    """Stack the cells of features and scores, a pair for each school."""
    from scipy.io import loadmat

    cells = loadmat(raw[0])
    x, y = list(cells["X"].ravel()), list(cells["Y"].ravel())
    return [
        {
            "x": np.concatenate(x).astype(np.float32),
            "y": np.concatenate([scores.ravel() for scores in y]).astype(np.float32),
            "task": np.repeat(np.arange(len(x)), [len(rows) for rows in x]).astype(np.uint8),
        }
    ]


RECIPES = (
    Recipe(
        ("school/school.npz",),
        (Source(GITHUB + "jiayuzhou/MALSAR/ca3d55b878cc4113f0d9603e8ac46538aeb1ecd9/data/school.mat"),),
        make,
        content="7a4396af04fa7b7a109c346e63b8da78c0594ce302ebfaa0346324c811b98c0f",
    ),
)

READER = Reader(read, 'exam scores, a task for each of 139 schools: "school:1,2#school_1"')
