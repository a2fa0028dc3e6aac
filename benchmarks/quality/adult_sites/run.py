"""Two sites with other columns: the census of Adult, every other column at both, the rest at either alone.

Needs ``HEADSTART_DATA`` with Adult. The target has 100 labelled rows, 2000 without, and its columns; the
source 4000 labelled rows and its own. Compared over ten draws of labels: no source, the shared columns alone,
and the target's other columns filled from the shared ones (``map_columns``), all by logistic regression; and
the same with a source whose labels say nothing of its rows, where no map can help.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

import headstart as hs
from headstart.datasets import map_columns, transferable
from headstart.maths.random import generator
from headstart.strategies import STRATEGIES, Budget
from headstart.tasks import Inputs, Labelled, Task

HERE = Path(__file__).parent
NAMES = (
    "age", "workclass", "fnlwgt", "education", "education-num", "occupation", "relationship", "race", "sex",
    "capital-gain", "capital-loss", "hours-per-week", "native-country",
)  # fmt: skip
SHARED, TARGET, SOURCE = NAMES[::2], NAMES[1::4], NAMES[3::4]
SEEDS, SOURCE_ROWS, BARE, TESTED = 10, 4000, 2000, 4000
POOLED = STRATEGIES["pooled+logreg"]


def places(encoding, names):
    """Number the features that columns have become."""
    found, at = [], 0
    for name, how in encoding.features.items():
        found += list(range(at, at + how.width)) * (name in names)
        at += how.width
    return torch.tensor(found)


def sites():
    """Give the target, the source, and which target column each of the source's is."""
    (task,) = hs.datasets.read("adult#income")
    x, y = task.train.x, task.train.y
    order = torch.randperm(len(y), generator=generator("adult sites"))
    shared, own, others = (places(task.encoding, names) for names in (SHARED, TARGET, SOURCE))
    here, there = torch.cat([shared, own]), torch.cat([shared, others])
    rest = order[SOURCE_ROWS:]
    labelled, bare = rest[:2000], rest[2000 : 2000 + BARE]
    tested = torch.randperm(len(task.test), generator=generator("adult test"))[:TESTED]
    target = Task(
        "target", task.kind, Labelled(x[labelled][:, here], y[labelled]),
        unlabelled=Inputs(x[bare][:, here]),
        test=Labelled(task.test.x[tested][:, here], task.test.y[tested]),
    )  # fmt: skip
    at = order[:SOURCE_ROWS]
    source = Task("source", task.kind, Labelled(x[at][:, there], y[at]))
    return target, source, [*range(len(shared)), *[None] * len(others)]


def shared_alone(trial):
    """Learn in one pool from the shared columns: the others are 0 in all rows, so that they count nothing."""
    many = SHARED_WIDTH[0]

    def cut(task):
        x = task.train.x.clone()
        x[:, many:] = 0
        return dataclasses.replace(task, train=dataclasses.replace(task.train, x=x))

    problem = trial.problem.with_rows(
        targets=[cut(t) for t in trial.problem.targets], sources=[cut(s) for s in trial.problem.sources]
    )
    return POOLED.run(dataclasses.replace(trial, problem=problem))


SHARED_WIDTH = []
ALONE = dataclasses.replace(POOLED, name="pooled+logreg-shared", run=shared_alone)


def posed(target, source, columns):
    return hs.Problem(
        target, [map_columns(target, columns)(source)], shots=50, draw="random", budget=Budget(options=1)
    )


def compared(target, source, columns):
    problem = posed(target, source, columns)
    ways = ["raw+logreg", ALONE, POOLED]
    result = hs.compare(problem, ways, SEEDS, baseline="raw+logreg", progress=False)
    keys = ("strategy", "mean", "ci95", "gain", "gain_ci95", "verdict")
    rows = [{key: row[key] for key in keys} for row in result.rows]
    return {"rows": rows, "says": result.data["reasons"][0]}


def over_shared(target, source, columns):
    """Measure the map against the shared columns alone."""
    problem = posed(target, source, columns)
    result = hs.compare(problem, [ALONE, POOLED], SEEDS, baseline=ALONE.name, progress=False)
    row = next(row for row in result.rows if row["strategy"] == POOLED.name)
    return {key: row[key] for key in ("gain", "gain_ci95", "verdict")}


def main():
    target, source, columns = sites()
    SHARED_WIDTH.append(sum(new is not None for new in columns))
    few = hs.datasets.shots(target, 50, generator=generator("shots", 0))
    kept = transferable(few, source, columns)
    turned = torch.randperm(len(source.train), generator=generator("labels that say nothing"))
    useless = dataclasses.replace(source, train=Labelled(source.train.x, source.train.y[turned]))
    found = {
        "the same census": compared(target, source, columns),
        "columns left out, whose relation to income differs": [
            int(k) for k, new in enumerate(columns) if new is not None and kept[k] is None
        ],
        "the map over the shared columns alone": over_shared(target, source, columns),
        "labels that say nothing": compared(target, useless, columns),
    }
    (HERE / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
