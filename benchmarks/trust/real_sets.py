"""Real sets posed as two sites: what is recommended, beside five plain lines of scikit-learn.

    python benchmarks/trust/real_sets.py [--sets wine,adult] [--seeds 5] [--workers 2]

The five are written without this library, standardise by the rows that they learn from, choose no setting
(ridge its penalty) and see what a seed's trials see: the labelled rows of ``choice.cut``, and pooled the
source's too. Adult, PneumoniaMNIST, school and reviews need ``HEADSTART_DATA``. Nets train as by default but
on digits, X-rays and reviews, whose budget stands in ``SETS``: by default each would take 15 minutes.
``real_sets.json`` is written after each set, and a set that is run again takes the place of its lines.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import lzma
import os
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from sklearn import datasets, metrics
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

import headstart as hs
from headstart.comparison import choice
from headstart.datasets import SplitSpec
from headstart.errors import unknown
from headstart.strategies import Budget
from headstart.tasks import Binary, Kind, Labelled, Multiclass, Regression, Task

FILE = Path(__file__).with_suffix(".json")
NETS = ["probe", "finetune", "features+logreg", "pooled", "multitask"]
IMAGES = Budget(steps=200, pretrain=300, options=1)
WORDS = Budget(steps=100, pretrain=150, options=1)
METRICS: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "r2": metrics.r2_score,
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
}


# The sets.


def rows(x: Any, y: Any, at: Any, kind: Kind) -> Labelled:
    """Take rows as tensors."""
    answers = torch.as_tensor(np.asarray(y)[at], dtype=torch.long if kind.classes else torch.float32)
    if isinstance(kind, Binary):
        answers = answers.float()
    return Labelled(torch.as_tensor(np.asarray(x)[at], dtype=torch.float32), answers)


def sites(
    name: str, x: Any, y: Any, kind: Kind, here: Any, test: float, moved: bool = False
) -> tuple[Task, Task]:
    """Pose rows as a target, a share of whose rows are for the test, and a source: the other rows.

    The rows ``moved`` have units of the source's own: a scale and an offset for each column.
    """
    x, g = np.asarray(x, dtype=np.float64), np.random.default_rng(0)
    here, there = np.flatnonzero(here), np.flatnonzero(~np.asarray(here))
    order = g.permutation(here)
    held = order[: round(test * len(order))]
    if moved:
        shape, spread = x.shape[1:], x.std(0)
        x = x.copy()
        x[there] = x[there] * np.exp(g.normal(0, 0.5, shape)) + spread * g.normal(0, 1, shape)
    target = Task(f"{name}_here", kind, rows(x, y, order[len(held) :], kind), test=rows(x, y, held, kind))
    return target, Task(f"{name}_there", kind, rows(x, y, there, kind))


def half(count: int) -> np.ndarray:
    """Say which rows are here: a half drawn at random."""
    return np.random.default_rng(1).permutation(count) < count // 2


def diabetes() -> tuple[Task, Task]:
    """Two sexes: the second is here, without the column that says so."""
    x, y = datasets.load_diabetes(return_X_y=True, scaled=False)
    return sites("diabetes", np.delete(x, 1, 1), y, Regression(), x[:, 1] == 2, 0.6)


def wine() -> tuple[Task, Task]:
    x, y = datasets.load_wine(return_X_y=True)
    return sites("wine", x, y, Multiclass(3), half(len(y)), 0.55, moved=True)


def cancer() -> tuple[Task, Task]:
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return sites("cancer", x, y, Multiclass(["malignant", "benign"]), half(len(y)), 0.6, moved=True)


def digits() -> tuple[Task, Task]:
    (target,), (source,) = hs.datasets.read("digits:5-9"), hs.datasets.read("digits:0-4")
    return target, source


def linnerud() -> tuple[Task, Task]:
    """Weight from three exercises: thirteen people are here, five of them for the test, and seven there."""
    x, y = datasets.load_linnerud(return_X_y=True)
    here = np.random.default_rng(1).permutation(len(x)) < 13
    return sites("linnerud", x, y[:, 0], Regression(), here, 0.4)


def adult() -> tuple[Task, Task]:
    """Income: those who work for a state are here, those in private firms there (5,000 of them)."""
    (task,) = hs.datasets.read("adult#income")
    work = {}
    for part in ("train", "test"):
        with lzma.open(Path(os.environ["HEADSTART_DATA"], f"adult/adult.{part}.csv.xz"), "rt") as file:
            work[part] = np.array([line[1] for line in csv.reader(file)])
    assert len(work["train"]) == len(task.train)
    here, there = (
        torch.from_numpy(np.flatnonzero(work["train"] == where)) for where in ("State-gov", "Private")
    )
    test = torch.from_numpy(np.flatnonzero(work["test"] == "State-gov"))
    kind = Multiclass(["no", "yes"])

    def taken(part: Labelled, at: torch.Tensor) -> Labelled:
        return Labelled(part.x[at], part.y[at].long())

    target = Task("state", kind, taken(task.train, here), test=taken(task.test, test))
    return target, Task("private", kind, taken(task.train, there[:5000]))


def pneumonia() -> tuple[Task, Task]:
    """The test rows are the set's own; half of 2,000 training rows are there, darker and blurred."""
    (task,) = hs.datasets.read("medmnist:pneumonia")
    at = torch.from_numpy(np.random.default_rng(2).permutation(len(task.train))[:2000])
    near, far = at[:1000], at[1000:]
    darker = torch.nn.functional.avg_pool2d(task.train.x[far] ** 1.5, 3, 1, 1)
    source = Task("pneumonia_there", task.kind, Labelled(darker, task.train.y[far]))
    return dataclasses.replace(task, train=task.train.take(near), valid=None), source


def school() -> tuple[Task, Task]:
    """The largest school is here, the next largest there."""
    target, source = hs.datasets.read("school:30,72", split=SplitSpec(test=0.5))
    return target, source


def reviews() -> tuple[Task, Task]:
    """Reviews of things for the kitchen here, of books there, 200 words each; no unlabelled rows."""
    found = hs.datasets.read("fdu_mtl:kitchen_housewares,books")

    def short(part: Labelled | None) -> Labelled | None:
        return None if part is None else Labelled(part.x[:, :200], part.y)

    cut = []
    for task in found:
        words = dataclasses.replace(task.encoding, length=200, division=None)
        parts = {"train": short(task.train), "test": short(task.test), "unlabelled": None}
        cut.append(dataclasses.replace(task, **parts, encoding=words))
    return cut[0], cut[1]


@dataclasses.dataclass(frozen=True)
class Posed:
    """A set and how it is compared: amounts of labels, ways beside the nets, budget, backbone."""

    make: Callable[[], tuple[Task, Task]]
    shots: list[int]
    also: tuple[str, ...] = ("pooled+logreg",)
    budget: Budget = Budget()  # noqa: RUF009
    backbone: str = "auto"
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


SETS = {
    "wine": Posed(wine, [2, 8]),
    "cancer": Posed(cancer, [2, 10]),
    "diabetes": Posed(diabetes, [10, 50], ("pooled+ridge",)),
    "linnerud": Posed(linnerud, [5], ("pooled+ridge",)),
    "school": Posed(school, [40], ("pooled+ridge",)),
    "adult": Posed(adult, [50]),
    "digits": Posed(digits, [5], (), IMAGES, "conv4", {"width": 16, "halvings": 0}),
    "pneumonia": Posed(pneumonia, [10], ("pooled+logreg",), IMAGES, "conv4", {"width": 16}),
    "reviews": Posed(reviews, [20], ("pooled+logreg",), WORDS, "textcnn"),
}


# Five plain lines.


def flat(part: Labelled) -> np.ndarray:
    return part.x.flatten(1).double().numpy()


def counted(part: Labelled, words: int) -> np.ndarray:
    """Count words of which 0 pads."""
    table = np.zeros((len(part), words))
    np.add.at(table, (np.arange(len(part))[:, None], part.x.numpy()), 1)
    table[:, 0] = 0
    return table


def five(few: Task, source: Task, seed: int) -> dict[str, np.ndarray]:
    """Answer the test rows in five plain ways."""
    numbers, words = not few.kind.classes, not few.train.x.is_floating_point()
    if words:
        most = int(max(t.x.max() for t in (few.train, few.test, source.train))) + 1
        x, test, other = (counted(part, most) for part in (few.train, few.test, source.train))
        seen = x.any(0)  # trees on all 10,000 words and more would take minutes
        scaled: Any = TfidfTransformer
    else:
        x, test, other = flat(few.train), flat(few.test), flat(source.train)
        seen = np.full(x.shape[1], True)
        scaled = StandardScaler
    y, theirs = few.train.y.numpy(), source.train.y.numpy()
    if not numbers and list(few.kind.classes) != list(source.kind.classes):
        theirs = theirs + len(few.kind.classes)  # other classes: one of them is never an answer
    both, all_y = np.concatenate([x, other]), np.concatenate([y, theirs])
    if numbers:
        learners = {
            "nearest rows": make_pipeline(scaled(), KNeighborsRegressor(min(5, len(x)))),
            "ridge": make_pipeline(scaled(), RidgeCV(np.logspace(-2, 3, 11))),
            "SVM": TransformedTargetRegressor(make_pipeline(scaled(), SVR()), transformer=StandardScaler()),
            "boosted trees": HistGradientBoostingRegressor(random_state=seed),
        }
        pooled = make_pipeline(scaled(), RidgeCV(np.logspace(-2, 3, 11)))
    else:
        learners = {
            "nearest rows": make_pipeline(scaled(), KNeighborsClassifier(1)),
            "logistic regression": make_pipeline(scaled(), LogisticRegression(max_iter=1000)),
            "SVM": make_pipeline(scaled(), SVC()),
            "boosted trees": HistGradientBoostingClassifier(random_state=seed),
        }
        pooled = make_pipeline(scaled(), LogisticRegression(max_iter=1000))
    found = {name: learner.fit(x[:, seen], y).predict(test[:, seen]) for name, learner in learners.items()}
    pooled.fit(both, all_y)
    if numbers:
        return found | {"pooled": pooled.predict(test)}
    known = np.flatnonzero(np.isin(pooled.classes_, np.unique(y)))
    p = pooled.predict_proba(test)[:, known]
    return found | {"pooled": pooled.classes_[known][p.argmax(1)]}


# Both on the same rows.


def beside(data: Any, answer: Any, plain: dict[str, list[float]]) -> dict[str, Any]:
    """Put what an answer recommends beside the plain ways, each with its score at every seed."""
    up, count = 1 if data["higher_is_better"] else -1, answer["shots"]
    means = {way: float(np.mean(values)) for way, values in plain.items()}
    best = max(means, key=lambda way: up * means[way])
    row = next(r for r in data["rows"] if (r["strategy"], r["shots"]) == (answer["strategy"], count))
    apart = up * (np.array(row["seeds"]) - np.array(plain[best]))
    seeds = len(apart)
    spread = float(stats.t.ppf(0.975, seeds - 1) * apart.std(ddof=1) / seeds**0.5)
    return {
        "shots": count, "metric": data["metric"], "higher_is_better": data["higher_is_better"],
        "recommended": answer["strategy"], "mean": row["mean"], "ci95": row["ci95"],
        "outcome": answer["outcome"], "baseline": answer["baseline"],
        "gain": answer["gain"], "gain_ci95": answer["gain_ci95"],
        "plain": means, "best_plain": best,
        "apart": float(apart.mean()), "half_width": spread, "worse": bool(apart.mean() < -spread),
        "ways": {r["strategy"]: r["mean"] for r in data["rows"] if r["shots"] == count},
    }  # fmt: skip


def compared(name: str, seeds: int, workers: int) -> list[dict[str, Any]]:
    """Compare on one set; one line for each amount of labels."""
    posed = SETS[name]
    target, source = posed.make()
    problem = hs.Problem(
        target, [source], posed.backbone, settings=posed.settings, shots=posed.shots, budget=posed.budget
    )
    begun = time.perf_counter()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = hs.compare(problem, [*NETS, *posed.also], seeds, workers=workers)
    seconds = time.perf_counter() - begun
    data, score = result.data, METRICS[result.data["metric"]]
    truth, claim = target.test.y.numpy(), data["model"][target.name]
    loaded = hs.load(result.best.directory).evaluate(target)[data["metric"]].value
    lines = []
    for said, answer in zip(data["reasons"], data["answers"], strict=False):
        count = answer["shots"]
        plain: dict[str, list[float]] = {}
        for seed in range(seeds):
            few = choice.cut(problem, count, seed)[0]
            for way, answers in five(few, source, seed).items():
                plain.setdefault(way, []).append(float(score(truth, answers)))
        lines.append(
            {
                "set": name, "classes": len(target.kind.classes),
                "labelled": len(few.train), "test_rows": len(truth), "source_rows": len(source.train),
                **beside(data, answer, plain), "said": said,
                "model": claim | {"loaded": loaded} if count == posed.shots[-1] else None,
                "warned": sorted({str(w.message) for w in warned}), "seconds": round(seconds, 1),
            }
        )  # fmt: skip
    return lines


def main(
    about: str, sets: Mapping[str, Any], compared: Callable[[str, int, int], list[dict[str, Any]]], file: Path
) -> None:
    """Compare on the sets that the command line names, and write the lines of each into a file."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("--sets", default=",".join(sets))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=file)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.sets.split(","):
        if name not in sets:
            raise unknown("set", name, sets)
        lines = compared(name, asked.seeds, asked.workers)
        kept = json.loads(asked.out.read_text())["lines"] if asked.out.exists() else []
        kept = [line for line in kept if line["set"] != name] + lines
        kept.sort(key=lambda line: (list(sets).index(line["set"]), line["shots"]))
        text = {"headstart": hs.__version__, "seeds": asked.seeds, "lines": kept}
        asked.out.write_text(json.dumps(text, indent=1) + "\n")
        for line in lines:
            print(
                f"{name} {line['shots']}: {line['recommended']} {line['mean']:.3f}, {line['outcome']}; "
                f"{line['best_plain']} {line['plain'][line['best_plain']]:.3f}; {line['apart']:+.3f} "
                f"+- {line['half_width']:.3f}{' WORSE' * line['worse']}; {line['seconds']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main(__doc__, SETS, compared, FILE)
