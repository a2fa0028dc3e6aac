"""Wine and breast cancer posed as two sites: what is recommended beside five lines of scikit-learn.

Half of the rows are the source, a quarter the target without labels, a quarter its test rows; at the second
site columns are as at the first, or all are moved and stretched. For each of five draws the way is chosen by
``sound`` on four fifths of the source's labels and trained on all of them, as ``compare`` does with
``Budget(pretrain=150, options=1, repeats=1)``; beside it logistic regression, a linear SVM, and CORAL with
logistic regression, on z-scores of the source (CORAL: of either side). ::

    python benchmarks/quality/two_sites/run.py

It goes on where it was ended: remove ``figures.json`` to begin anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import torch

import headstart as hs
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts
from headstart.tasks import Inputs, Labelled, Task

HERE = Path(__file__).parent
DRAWS = 5
WAYS = ("source+logreg", "source-only", "bbse", "coral+logreg", "msda+logreg", "cmd", "mmd")


def sites():
    """Give the name of each problem, and what makes one draw of it."""
    from sklearn.datasets import load_breast_cancer, load_wine

    for name, load in (("wine", load_wine), ("breast cancer", load_breast_cancer)):
        table = load()
        x = torch.from_numpy((table.data - table.data.mean(0)) / table.data.std(0)).float()
        y = torch.from_numpy(table.target).long()
        for moved in (0.0, 1.0):
            yield f"{name}, {'moved' if moved else 'alike'}", x, y, moved


def posed(x, y, moved, draw):
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(draw))
    near, far = order[::2], order[1::2]
    there, half = x[far] * (1 + 0.5 * moved) + moved, len(far) // 2
    kind = hs.tasks.Multiclass(int(y.max()) + 1)
    target = Task(
        "far", kind, Labelled(there[:0], y[:0]), unlabelled=Inputs(there[:half]),
        test=Labelled(there[half:], y[far][half:]),
    )  # fmt: skip
    budget = Budget(pretrain=150, options=1, repeats=1)
    return hs.Problem(target, [Task("near", kind, Labelled(x[near], y[near]))], budget=budget)


def recommended(problem):
    """Name the way that is most sound, and score it on the test rows."""
    every = STRATEGIES | FURTHER
    harms = problem.shifts(HERE).get("far", {}).get("kind") == "label"
    sound = {
        name: problem.judge(every[name], 0, None, 0, Starts())[0]
        for name in WAYS
        if not (harms and every[name].aligns)
    }
    told = max(sound, key=sound.get)
    found = problem.train(every[told], ["far"], every[told].options[0], 0, Starts())["far"]
    return told, 100 * found.record["score"]


def five_lines(problem):
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    source, test = problem.sources[0].train, problem.target.test
    a, b, c = (z.double().numpy() for z in (source.x, problem.target.unlabelled.x, test.x))
    y, truth = source.y.numpy(), test.y.numpy()
    (m, s), (n, t) = ((z.mean(0), numpy.where(z.std(0) > 1e-9, z.std(0), 1)) for z in (a, b))
    scaled = [(z - m) / s for z in (a, c)]
    one, other = (a - m) / s, (b - n) / t
    (v, u), (w, o) = (numpy.linalg.eigh(numpy.cov(z.T) + numpy.eye(z.shape[1])) for z in (one, other))
    moved = one @ (u * v**-0.5) @ u.T @ (o * w**0.5) @ o.T
    new = (c - n) / t
    fitted = {
        "logistic regression": (LogisticRegression(max_iter=1000), *scaled),
        "linear SVM": (LinearSVC(max_iter=5000), *scaled),
        "CORAL + logistic regression": (LogisticRegression(max_iter=1000), moved, new),
    }
    return {name: 100 * model.fit(x, y).score(z, truth) for name, (model, x, z) in fitted.items()}


def main():
    file = HERE / "figures.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for name, x, y, moved in sites():
        if name in found:
            continue
        told, ours, theirs = [], [], []
        for draw in range(DRAWS):
            problem = posed(x, y, moved, draw)
            way, score = recommended(problem)
            told.append(way)
            ours.append(score)
            theirs.append(five_lines(problem))
        lines = {key: float(numpy.mean([one[key] for one in theirs])) for key in theirs[0]}
        best = max(lines, key=lines.get)
        gaps = [score - one[best] for score, one in zip(ours, theirs, strict=True)]
        found[name] = {
            "recommended": told,
            "score": round(float(numpy.mean(ours)), 2),
            "five lines": {key: round(value, 2) for key, value in lines.items()},
            "over the best of these": round(float(numpy.mean(gaps)), 2),
            "standard error": round(float(numpy.std(gaps, ddof=1) / DRAWS**0.5), 2),
        }
        print(name, found[name], flush=True)
        file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
