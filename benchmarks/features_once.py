"""Time a comparison on a frozen ResNet-18 here and at an earlier commit, in turn on one machine.

``python benchmarks/features_once.py OLD`` where OLD is a checkout of that commit; writes
``features_once.json`` beside this file. Each run is a process of its own on one thread. The baseline of
a comparison trains the whole net, which no kept feature can spare; in its place stands a net with new
weights that is not trained, on both sides, so that the time is that of the four frozen strategies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

NAMES = ["probe", "features+logreg", "features+svm", "features+mlp"]
RUNS = 1


def measure() -> None:
    """Compare four strategies on frozen features of 600 images of 64 pixels, 5 seeds, on one thread."""
    import dataclasses

    import torch

    import headstart as hs
    from headstart.strategies import STRATEGIES, Trained

    STRATEGIES["scratch"] = dataclasses.replace(
        STRATEGIES["scratch"], run=lambda trial: Trained(trial.fresh(), {})
    )

    generator = torch.Generator().manual_seed(0)
    y = torch.arange(600) % 5
    patterns = torch.rand(5, 3, 64, 64, generator=generator)
    x = (0.5 * patterns[y] + 0.5 * torch.rand(600, 3, 64, 64, generator=generator)).contiguous()
    train, test = (hs.tasks.Labelled(x[at], y[at]) for at in (slice(0, 480), slice(480, 600)))
    torch.manual_seed(0)
    backbone = hs.backbone("torchvision:resnet18", weights=None)
    target = hs.Task("patterns", hs.tasks.Multiclass(5), train, test=test)
    problem = hs.Problem(target, backbone=backbone)
    begun = time.perf_counter()
    result = hs.compare(problem, NAMES, 5, progress=False)
    seconds = time.perf_counter() - begun
    scores = {row["strategy"]: row["seeds"] for row in result.rows}
    print(json.dumps({"seconds": seconds, "scores": scores}))


def main(old: Path) -> None:
    """Run both in turn and write what came out."""
    here = Path(__file__).resolve().parent
    sources = {"old": old / "src", "new": here.parent / "src"}
    found: dict[str, list[dict]] = {"old": [], "new": []}
    for _ in range(RUNS):
        for name, source in sources.items():
            env = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                [sys.executable, __file__], env=env, capture_output=True, text=True, check=True
            )
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(name, found[name][-1]["seconds"], flush=True)
    least = {name: min(run["seconds"] for run in runs) for name, runs in found.items()}
    old_scores, new_scores = (found[name][0]["scores"] for name in ("old", "new"))
    furthest = max(abs(a - b) for n in NAMES for a, b in zip(old_scores[n], new_scores[n], strict=True))
    record = {
        "seconds": least,
        "ratio": least["old"] / least["new"],
        "largest_difference_of_scores": furthest,
        "runs": found,
    }
    (here / "features_once.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1])) if sys.argv[1:] else measure()
