"""The penalty of a regression on features, which rows left out of it choose."""

import dataclasses

import numpy
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from headstart.comparison import Problem
from headstart.strategies import STRATEGIES, Starts, Trial
from headstart.strategies.recipes import left_out
from headstart.strategies.recipes.left_out import penalty, regressed
from headstart.strategies.recipes.linear import standard
from headstart.tasks import Binary, Labelled, Multiclass, Task


def clouds(each, noise, columns=30, seed=0):
    """Draw rows of three classes around three corners, with as much noise in every column."""
    y = torch.arange(3 * each) % 3
    x = noise * torch.randn(len(y), columns, generator=torch.Generator().manual_seed(seed))
    return Labelled(x + nn.functional.one_hot(y, columns), y)


def asked(rows, kind=None, **settings):
    task = Task("new", kind or Multiclass(3), rows, test=rows)
    return Trial(Problem(task, backbone=nn.Identity()), {"C": 10.0} | settings, 0, Starts())


@pytest.mark.parametrize(
    ("noise", "columns", "expected"), [(1.0, 30, 1.0), (0.3, 200, 10.0), (0.1, 30, 100.0)]
)
def test_noise_asks_for_a_stronger_penalty_and_clear_classes_for_a_weaker_one(noise, columns, expected):
    rows = clouds(30, noise, columns)
    assert penalty(asked(rows), rows.x) == expected


@pytest.mark.parametrize("noise", [0.3, 0.5, 1.0])
def test_it_is_the_likeliest_by_the_regression_of_scikit_learn_within_a_standard_error(noise):
    rows = clouds(30, noise)
    given = asked(rows)
    order = torch.randperm(90, generator=given.generator("rows that choose a penalty"))
    x, y = rows.x[order].double(), rows.y[order].numpy()
    part, said = left_out.folded(rows.y[order]), {}
    for C in (10.0, 1.0, 100.0):
        logs = numpy.zeros((90, 3))
        for number in part.unique():
            out = part == number
            mean, scale = standard(x[~out])
            z = ((x - mean) / scale).numpy()
            model = LogisticRegression(C=C, max_iter=1000).fit(z[~out], y[~out])
            logs[out] = model.predict_log_proba(z[out])
        tried = numpy.geomspace(0.1, 5, 400)[:, None, None] * logs
        tried -= numpy.log(numpy.exp(tried).sum(2, keepdims=True))
        of_class = tried[:, numpy.arange(90), y]
        said[C] = of_class[of_class.mean(1).argmax()]
    assert left_out.likelihood(given, x, rows.y[order], part).mean().item() == pytest.approx(
        said[10.0].mean(), abs=1e-3
    )
    best = max(said.values(), key=numpy.mean)
    near = [C for C, logs in said.items() if (best - logs).mean() <= (best - logs).std() / 90**0.5]
    assert penalty(given, rows.x) == near[0]


def test_it_stays_where_nothing_can_be_left_out():
    one = clouds(1, 1.0)
    assert penalty(asked(one), one.x) == 10.0
    rows = clouds(30, 1.0)
    patients = dataclasses.replace(rows, group=torch.zeros(90).long())  # all rows are of one
    assert penalty(asked(patients), rows.x) == 10.0


def test_rows_of_one_group_are_left_out_together():
    rows = clouds(30, 1.0)
    group = torch.arange(90) // 3
    part = left_out.folded_groups(rows.y, group)
    assert part.unique().tolist() == [0, 1, 2, 3, 4]
    for number in group.unique():
        assert len(part[group == number].unique()) == 1
    assert left_out.folded_groups(rows.y, rows.y) is None  # a class would not be known
    g = torch.Generator().manual_seed(0)
    places = torch.randn(30, 40, generator=g)  # ten patients of each class, who are told apart by 40 numbers
    y = torch.arange(3).repeat_interleave(10)
    x = (places[:, None] + 0.01 * torch.randn(30, 6, 40, generator=g)).flatten(0, 1)
    rows = Labelled(x, y.repeat_interleave(6), group=torch.arange(30).repeat_interleave(6))
    known, alone = (asked(one) for one in (dataclasses.replace(rows, group=None), rows))
    part = left_out.folded_groups(rows.y, rows.group)
    by_patient = left_out.likelihood(known, x.double(), rows.y, part)
    by_row = left_out.likelihood(known, x.double(), rows.y, left_out.folded(rows.y))
    assert by_row.mean() > -0.1  # a patient is recognised
    assert by_patient.mean() < -0.9
    assert penalty(alone, x) == 10.0  # none is better than guessing
    assert penalty(asked(dataclasses.replace(rows, group=None)), x) >= 10.0


def test_it_stays_where_classes_are_so_many_that_trying_would_take_long(monkeypatch):
    rows = clouds(30, 1.0)
    monkeypatch.setattr(left_out, "WORK", 2 * 5**2)
    assert penalty(asked(rows), rows.x) == 10.0


def test_the_head_is_the_regression_with_that_penalty():
    rows = clouds(30, 1.0)
    head, C = regressed(asked(rows), rows.x)
    mean, scale = standard(rows.x)
    z = ((rows.x - mean) / scale).double().numpy()
    model = LogisticRegression(C=C, max_iter=1000).fit(z, rows.y)
    expected = model.predict_proba(z)
    assert C == 1.0
    assert head(rows.x).softmax(1).detach().numpy() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["features+logreg", "untrained+logreg"])
def test_what_was_chosen_is_told(name):
    rows = clouds(30, 1.0)
    yes = dataclasses.replace(rows, y=(rows.y > 0).float())
    given = asked(yes, Binary())
    assert STRATEGIES[name].learn(given).told["C"] in (1.0, 10.0, 100.0)
    assert STRATEGIES[name].options[0] == {"C": 10.0}
