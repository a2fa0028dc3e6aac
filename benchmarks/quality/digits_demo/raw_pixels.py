"""What plain classifiers on raw pixels score on the demo's rows: the same labelled and test rows, no reuse.

python benchmarks/quality/digits_demo/raw_pixels.py > benchmarks/quality/digits_demo/raw_pixels.json
"""

import json
from statistics import fmean

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from headstart.datasets import read, shots

MODELS = {
    "nearest neighbour": lambda: KNeighborsClassifier(1),
    "logistic regression": lambda: LogisticRegression(max_iter=1000),
    "SVM with an RBF kernel": lambda: SVC(C=10),
}


def main() -> None:
    """Print the mean accuracy of each over the demo's ten seeds."""
    (task,) = read("digits:5-9")
    found: dict[str, dict[str, float]] = {}
    for count in (1, 5):
        drawn = [shots(task, count, generator=torch.Generator().manual_seed(seed)) for seed in range(10)]
        found[str(count)] = {
            name: fmean(
                make().fit(few.train.x.flatten(1), few.train.y).score(task.test.x.flatten(1), task.test.y)
                for few in drawn
            )
            for name, make in MODELS.items()
        }
    print(json.dumps(found, indent=2))


main()
