"""Both sides of a shift on a plane, and what of it the report draws."""

import dataclasses
import json

import pytest
import torch
from torch import nn

from headstart.comparison import Problem, compare
from headstart.comparison.planes import MOST, of_net, plane
from headstart.models import Net
from headstart.report.figures import both
from headstart.strategies import Budget, Trained
from headstart.tasks import Inputs, Labelled, Multiclass, Regression, Task


def rows(count, seed, move=0.0):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    x = torch.randn(count, 5, generator=g)
    x[:, 0] += 6 * y
    return Labelled(x + move, y)


def test_a_plane_holds_the_two_directions_of_most_variance():
    source, target = rows(40, 0), rows(30, 1, move=3.0)
    found = plane(source.x, source.y, target.x)
    assert json.loads(json.dumps(found)) == found
    assert [c for *_, c in found["source"]] == source.y.tolist()
    both_sides = torch.cat([source.x, target.x]).double()
    variances = torch.linalg.eigvalsh(both_sides.T.cov()).flip(0)
    assert found["share"] == pytest.approx(float(variances[:2].sum() / variances.sum()))
    places = torch.tensor([place[:2] for place in found["source"]] + found["target"])
    assert places.abs().max() == 1
    spread = places.double().T.cov()
    assert spread[0, 1] == pytest.approx(0, abs=1e-3)
    assert float(spread[1, 1] / spread[0, 0]) == pytest.approx(float(variances[1] / variances[0]), abs=1e-3)
    turned = plane(source.x.flip(1), source.y, target.x.flip(1))  # columns in another order
    assert torch.tensor(turned["target"]) == pytest.approx(torch.tensor(found["target"]), abs=2e-3)


def test_few_columns_and_many_rows_have_a_plane_too():
    found = plane(torch.rand(MOST + 9, 1), torch.zeros(MOST + 9).long(), torch.zeros(3, 1))
    assert len(found["source"]) == MOST
    assert {place[1] for place in found["target"]} == {0.0}
    still = plane(torch.ones(4, 2), torch.zeros(4).long(), torch.ones(4, 2))
    assert still["share"] == 1.0


def test_the_report_shows_rows_before_and_features_after(tmp_path):
    new = rows(60, 1, move=1.0)
    target = Task(
        "new", Multiclass(["a", "b"]), new.take(torch.arange(0)), unlabelled=Inputs(new.x), test=new
    )
    net = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU())
    problem = Problem(
        target, [Task("old", target.kind, rows(80, 2))], backbone=net, budget=Budget(pretrain=5, options=1)
    )
    result = compare(problem, ["cmd"], 1, baseline="source-only", out=tmp_path / "run", progress=False)
    assert len(result.data["shifts"]["new"]["plane"]["target"]) == 60
    handed = result.data["model"]["new"]
    assert len(handed["plane"]["source"]) == 80
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Both sides of the shift" in page
    assert f"features of {handed['strategy']}" in page


def test_numbers_have_no_classes_to_colour_rows_by():
    old = Task("old", Regression(), Labelled(rows(20, 0).x, torch.randn(20, 1)))
    target = dataclasses.replace(
        old, name="new", train=old.train.take(torch.arange(0)), unlabelled=old.train.inputs()
    )
    net = Net(nn.Identity(), {"new": nn.Linear(5, 1)})
    assert of_net(Trained(net, {}), target, [old]) == {}


def test_nothing_is_drawn_where_there_is_no_shift():
    assert both("new", [("before", {}), ("after", {})], ["a"]) == ""
    many = {"source": [[0.0, 0.1, c] for c in range(12)], "target": [[0.5, 0.5]]}
    assert "other classes" in both("new", [("before", many)], [f"class {c}" for c in range(12)])
