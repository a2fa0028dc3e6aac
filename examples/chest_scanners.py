"""Pneumonia on chest X-rays of another scanner, none of which has a label.

Run:    python examples/chest_scanners.py      (a quarter of an hour)
Data:   PneumoniaMNIST, 28 x 28 pixels, downloaded once or read from the folder in HEADSTART_DATA. Half of its
        training rows have labels and are as they come. The other half and the test rows have none and are
        taken once more by a simulated scanner, which is darker in the middle tones, has two thirds of the
        contrast, less light at the edges, is less sharp and has noise.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

import headstart as hs
from headstart.tasks import Inputs, Labelled

WAYS = ["source+logreg", "source-only", "adabn", "coral", "adamatch"]


def scanned(x: Tensor, seed: int) -> Tensor:
    """Take X-rays ``(rows, 1, 28, 28)`` once more, by the other scanner."""
    across = torch.linspace(-1, 1, 28)
    light = 1 - 0.3 * (across[:, None].square() + across[None].square()) / 2
    x = (0.66 * x.pow(1.5) + 0.2) * light
    x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (x + 0.05 * noise).clamp(0, 1)


def main(steps: int = 150, seeds: int = 3) -> dict[str, float]:
    (task,) = hs.datasets.read("medmnist:pneumonia")
    order = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(0))
    first, other = (task.train.take(at) for at in order.chunk(2))
    there = scanned(other.x, 0)
    target = hs.Task(
        "other_scanner",
        task.kind,
        Labelled(there[:0], other.y[:0]),
        unlabelled=Inputs(there),
        test=Labelled(scanned(task.test.x, 1), task.test.y),
    )
    problem = hs.Problem(
        target,
        [hs.Task("first_scanner", task.kind, first)],
        backbone="conv4",
        settings={"width": 32},
        budget=hs.strategies.Budget(pretrain=steps, options=1),
        class_weights="balanced",
    )
    result = hs.compare(problem, WAYS, seeds=seeds)
    print(result)
    return {row["strategy"]: row["mean"] for row in result.to_dict()["rows"]}


if __name__ == "__main__":
    main()
