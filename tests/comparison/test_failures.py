"""One failure is one failure: it is told, and the comparison goes on."""

import json

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.tasks import Labelled, Multiclass, Regression

from .problems import few_without_reuse


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    few_without_reuse(monkeypatch, "raw+knn", "scratch")


X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
BUDGET = hs.strategies.Budget(steps=5, options=1)


def task(y, kind, rows=40):
    return hs.Task("t", kind, Labelled(X[:rows], y[:rows]), test=Labelled(X[rows:], y[rows:]))


class Logarithm(nn.Module):
    """Give NaN for some rows."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 8)

    def forward(self, x):
        return torch.log(self.layer(x))


def failed(result):
    return {row["strategy"]: row["error"] for row in result.details["budget"]["failed"]}


def test_features_that_are_no_numbers_fail_what_reads_them():
    problem = hs.Problem(task(torch.arange(60) % 2, Multiclass(2)), backbone=Logarithm(), budget=BUDGET)
    result = hs.compare(problem, ["raw+knn", "features+logreg", "probe"], seeds=2, progress=False)
    errors = failed(result)
    assert {"features+logreg", "probe"} <= errors.keys()
    assert "NaN" in errors["features+logreg"]
    by_name = {row["strategy"]: row["mean"] for row in result.rows}
    assert by_name["raw+knn"] is not None


def test_labels_of_one_class_fail_what_needs_two():
    y = torch.cat([torch.zeros(40, dtype=torch.long), torch.arange(20) % 3])
    backbone = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    problem = hs.Problem(task(y, Multiclass(3)), backbone=backbone, budget=BUDGET)
    result = hs.compare(problem, ["features+logreg", "probe"], seeds=2, progress=False)
    assert "features+logreg" in failed(result)
    assert next(row for row in result.rows if row["strategy"] == "probe")["mean"] is not None


@pytest.mark.parametrize("error", [TypeError("odd"), KeyError("lost"), RuntimeError("torch"), MemoryError()])
def test_any_error_of_a_strategy_is_told_with_its_type(tmp_path, error):
    def run(trial):
        raise error

    own = hs.Strategy(name="mine", run=run, summary="fails")
    problem = hs.Problem(task(torch.arange(60) % 2, Multiclass(2)), budget=BUDGET)
    result = hs.compare(problem, [own, "raw+knn"], seeds=2, progress=False, out=tmp_path / "c")
    assert failed(result)["mine"].startswith(type(error).__name__)
    cell = json.loads((tmp_path / "c" / "trials" / "mine-all-0.json").read_text())
    assert type(error).__name__ in json.dumps(cell)


def test_each_output_is_scored_over_its_own_rows():
    y = X[:, :2].clone()
    y[::2, 0] = y[1::2, 1] = torch.nan
    result = hs.compare(
        hs.Problem(task(y, Regression(2)), budget=BUDGET),
        ["scratch", "raw+ridge"], seeds=2, progress=False,
    )  # fmt: skip
    by_name = {row["strategy"]: row["mean"] for row in result.rows}
    assert by_name["scratch"] is not None
    assert "miss no number" in failed(result)["raw+ridge"]


class Bent(nn.Module):
    """Give what a function makes of linear features."""

    def __init__(self, function):
        super().__init__()
        self.layer, self.function = nn.Linear(4, 8), function

    def forward(self, x):
        return self.function(self.layer(x))


def overflowing(z):
    return torch.exp(500 * z)


def divided(z):
    return z.relu() / z.relu()


@pytest.mark.parametrize("function", [overflowing, divided, torch.sqrt])
@pytest.mark.parametrize("name", ["features+logreg", "probe"])
def test_features_that_overflow_or_are_nowhere_defined_fail_their_readers_alone(function, name):
    problem = hs.Problem(task(torch.arange(60) % 2, Multiclass(2)), backbone=Bent(function), budget=BUDGET)
    result = hs.compare(problem, [name, "raw+knn"], seeds=2, progress=False)
    assert "NaN" in failed(result)[name] or "inf" in failed(result)[name]
    assert {row["strategy"]: row["mean"] for row in result.rows}["raw+knn"] is not None


def test_answers_to_test_rows_that_are_no_numbers_fail_their_trial_alone():
    x = X.clone()
    x[45] = 1e4  # of the test rows: its exponentials overflow, and nothing that was learned from does
    rows, y = [slice(40), slice(40, 60)], torch.arange(60) % 2
    train, test = (Labelled(x[some], y[some]) for some in rows)
    problem = hs.Problem(
        hs.Task("t", Multiclass(2), train, test=test), backbone=Bent(torch.exp), budget=BUDGET
    )
    result = hs.compare(problem, ["features+logreg", "raw+knn"], seeds=2, progress=False)
    assert "answers should be numbers" in failed(result)["features+logreg"]
    assert {row["strategy"]: row["mean"] for row in result.rows}["raw+knn"] is not None


@pytest.mark.parametrize("size", [1e-30, 1e-9, 1e20])
def test_learners_without_a_net_do_not_know_the_size_of_rows(size):
    y = torch.arange(60) % 2
    x = (X + 4 * y[:, None]) * size
    target = hs.Task("t", Multiclass(2), Labelled(x[:40], y[:40]), test=Labelled(x[40:], y[40:]))
    problem = hs.Problem(target, backbone=nn.Identity(), budget=BUDGET)
    result = hs.compare(problem, ["raw+knn", "raw+svm", "features+logreg"], seeds=2, progress=False)
    scores = {row["strategy"]: row["mean"] for row in result.rows}
    assert scores["raw+knn"] == scores["raw+svm"] == scores["features+logreg"] == 1.0
