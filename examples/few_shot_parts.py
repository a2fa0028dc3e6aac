"""Few-shot in production: labels of your own, a class added later, saved and loaded.

Run:    python examples/few_shot_parts.py
Data:   the digits that ship with scikit-learn. The features are learned on 0 to 4; the "parts" to be told
        apart are images of 5 to 9, which the net never saw, from five labelled images of each.
"""

import tempfile
from pathlib import Path

import torch

import headstart as hs

PARTS = ["bolt", "nut", "washer", "spring", "rivet"]


def main(steps: int = 150) -> float:
    (known,) = hs.datasets.read("digits:0-4")
    (new,) = hs.datasets.read("digits:5-9")

    torch.manual_seed(0)
    backbone = hs.backbone("conv4", inputs=(1, 8, 8), settings={"width": 32})
    net = hs.Net(backbone, {"parts": torch.nn.Linear(backbone.width, 5)})
    g = torch.Generator().manual_seed(0)
    stream = hs.episodes(known, ways=5, shots=5, queries=5, per_step=4, generator=g)
    learn = hs.meta.Episodic(hs.meta.ProtoNet("parts"))
    hs.fit(net, stream, learn, steps=steps, optimizer=torch.optim.Adam(net.parameters(), lr=1e-3))

    few = hs.datasets.shots(new, 5, generator=torch.Generator().manual_seed(0)).train
    first = few.y < 4  # the rivets come later
    labels = [PARTS[i] for i in few.y[first].tolist()]
    parts = hs.FewShot(net, hs.meta.ProtoNet("parts")).fit(few.x[first], labels)
    parts.add_class("rivet", few.x[~first])

    with tempfile.TemporaryDirectory() as folder:
        parts.save(Path(folder) / "parts")
        parts = hs.FewShot.load(Path(folder) / "parts")

    answers = parts.predict(new.test.x)
    truth = [PARTS[i] for i in new.test.y.tolist()]
    accuracy = sum(a == t for a, t in zip(answers, truth, strict=True)) / len(truth)
    print(f"{len(truth)} parts, {accuracy:.1%} named rightly; the first five: {answers[:5]}")
    return accuracy


if __name__ == "__main__":
    main()
