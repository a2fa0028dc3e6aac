"""How far away is each pixel? Disparity from one view of a real stereo pair, by an ImageNet net and without.

The left image of the pair "motorcycle" (Middlebury 2014, at a quarter of its size) is cut into 5 x 7 tiles of
96 pixels. ``apart``: three times 20 tiles of four columns are learned from, and the columns at least one tile
away from them are asked, 25 tiles in all. ``between``: every other tile is learned from and the others are
asked, then the other way round, 35 tiles in all. That is one scene, so it tells of no other. Matching blocks
of both views stands beside it: what two eyes tell without learning.

The pair comes inside the package scikit-image (BSD-3-Clause), which is fetched with pip, checked and not
imported. Needs ``headstart weights efficientnet_lite0``; about three minutes of one thread. The figures are
written beside this file; ``run.py [WAY ...]`` goes on with what is not in them.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import uniform_filter
from torch import Tensor

import headstart as hs
from headstart.atomic import write_atomic
from headstart.comparison.learned import outputs_of
from headstart.maths.influence import influence
from headstart.strategies import STRATEGIES, Budget, Starts, Trial
from headstart.tasks import DenseRegression, Labelled, Task

WHEEL = "scikit-image==0.26.0"
SHA256 = "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af"
OF = ["--python-version=3.11", "--implementation=cp", "--abi=cp311",
      "--platform=manylinux_2_24_x86_64", "--platform=manylinux_2_28_x86_64"]  # fmt: skip
FILE = Path(__file__).with_name("figures.json")
SIDE, DOWN, ACROSS, LEFT = 96, 5, 7, 34  # tiles, and where the first begins
Places = list[tuple[int, int]]
SHOWN, STEPS, BATCH = 128, 60, 8  # pixels that a tile is enlarged to
WITHIN = 3.0  # pixels that a disparity may be off by and count as right
WAYS = ("constant", "raw+pixels", "scratch", "probe", "finetune")
MATCHED, FARTHEST = 9, 80  # side of a block, and the largest disparity that is tried


def columns(*some: int) -> Places:
    """List the tiles of some columns."""
    return [(i, j) for j in some for i in range(DOWN)]


def every_other(first: int) -> Places:
    """List every other tile, as on a board of chess."""
    return [(i, j) for i, j in columns(*range(ACROSS)) if (i + j) % 2 == first]


LAYOUTS: dict[str, list[tuple[Places, Places]]] = {  # which tiles are learned from, and which are asked
    "apart": [
        (columns(3, 4, 5, 6), columns(0, 1)),
        (columns(0, 1, 5, 6), columns(3)),
        (columns(0, 1, 2, 3), columns(5, 6)),
    ],
    "between": [(every_other(0), every_other(1)), (every_other(1), every_other(0))],
}


def pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fetch both views and the disparities, 500 x 741."""
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*call, *OF, "-d", folder, WHEEL], check=True)
        held = next(Path(folder).glob("*.whl")).read_bytes()
    if (found := hashlib.sha256(held).hexdigest()) != SHA256:
        raise ValueError(f"sha256 of {WHEEL} should be {SHA256}; found {found}")
    with zipfile.ZipFile(io.BytesIO(held)) as archive:
        files = {
            end: archive.read(f"skimage/data/motorcycle_{end}")
            for end in ("left.png", "right.png", "disp.npz")
        }
    left, right = (np.asarray(Image.open(io.BytesIO(files[name]))) for name in ("left.png", "right.png"))
    disparity = np.load(io.BytesIO(files["disp.npz"]))["arr_0"].astype(np.float32)
    return left, right, np.where(np.isfinite(disparity), disparity, np.nan)


def tiles(image: np.ndarray, places: Places) -> Tensor:
    """Cut some tiles, ``(n, 96, 96, *)``."""
    cut = [image[i * SIDE : (i + 1) * SIDE, LEFT + j * SIDE : LEFT + (j + 1) * SIDE] for i, j in places]
    return torch.from_numpy(np.stack(cut))


def task(left: np.ndarray, disparity: np.ndarray, learn: Places, ask: Places) -> Task:
    """Make the task of a fold."""
    parts = [
        Labelled(tiles(left, places).movedim(3, 1).float() / 255, tiles(disparity, places))
        for places in (learn, ask)
    ]
    return Task("disparity", DenseRegression((SIDE, SIDE), WITHIN), parts[0], test=parts[1])


def matched(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Give each pixel the disparity at which the blocks around it differ least, in shades of grey."""
    one, other = (view.astype(np.float32).mean(2) for view in (left, right))
    costs = []
    for by in range(FARTHEST + 1):
        apart = np.full_like(one, 255.0)
        apart[:, by:] = np.abs(one[:, by:] - other[:, : one.shape[1] - by])
        costs.append(uniform_filter(apart, MATCHED))
    return np.argmin(costs, 0).astype(np.float32)


def said(way: str, posed: hs.Problem) -> Tensor:
    """Train once; give the sums and the counts of each test tile, side by side ``(n, 4)``."""
    strategy, target = STRATEGIES[way], posed.target
    trained = strategy.learn(Trial(posed, dict(strategy.options[0]), 0))
    outputs, y = outputs_of(Starts(), trained.net, target, target.test)
    return counted(outputs, y)


def counted(outputs: Tensor, y: Tensor) -> Tensor:
    sums, pixels, _ = DenseRegression((SIDE, SIDE), WITHIN).scored(outputs, y)
    return torch.cat([sums, pixels[:, None]], 1)


def told(found: Tensor, floor: Tensor) -> dict[str, list[float]]:
    """Measure all tiles together, with 95 % intervals over tiles, and beside a floor."""
    of, row = DenseRegression((SIDE, SIDE), WITHIN).measures(), torch.arange(len(found))

    def each(name: str, rows: Tensor) -> np.ndarray:
        return influence(of[name], rows[:, :3], rows[:, 3], row, len(row))[1]

    values = {name: each(name, found) for name in of}
    values["mae below the constant's"] = each("mae", floor) - values["mae"]
    return {name: interval(value) for name, value in values.items()}


def interval(values: np.ndarray) -> list[float]:
    mean, error = float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5
    return [round(v, 3) for v in (mean, mean - 1.96 * error, mean + 1.96 * error)]


def main(ways: list[str]) -> None:
    torch.set_num_threads(1)
    left, right, disparity = pair()
    budget, depth = Budget(steps=STEPS, batch=BATCH, options=1), matched(left, right)
    told_before = json.loads(FILE.read_text())["layouts"] if FILE.exists() else {}
    for layout, folds in LAYOUTS.items():
        figures = told_before.setdefault(layout, {})
        problems = [
            hs.Problem(
                task(left, disparity, learn, ask), backbone="wheel:efficientnet_lite0", budget=budget,
                settings={"size": SHOWN, "raw": True},
            )
            for learn, ask in folds
        ]  # fmt: skip
        floor = torch.cat([said("constant", posed) for posed in problems])
        both = torch.cat([counted(tiles(depth, ask), tiles(disparity, ask)) for _, ask in folds])
        figures["both views: blocks matched"] = told(both, floor)
        for way in ways:
            if way in figures:
                continue
            start = time.process_time()
            found = torch.cat([said(way, posed) for posed in problems])
            figures[way] = told(found, floor) | {"cpu_seconds": round(time.process_time() - start)}
            print(layout, way, figures[way], flush=True)
            about = {"steps": STEPS, "batch": BATCH, "within": WITHIN, "layouts": told_before}
            write_atomic(FILE, (json.dumps(about, indent=1) + "\n").encode())


if __name__ == "__main__":
    main(sys.argv[1:] or list(WAYS))
