"""Targets without labels: what the source's labels and the target's bare rows give together."""

import dataclasses
import math

import pytest
import torch

from headstart.comparison import Problem, applicable, choice, compare
from headstart.datasets import unlabel
from headstart.strategies import STRATEGIES, Budget, Starts, Trial
from headstart.strategies.recipes.align import joined
from headstart.tasks import Labelled, Multiclass, Task

from .problems import images


def rows(seed, *, moved):
    """Draw two clusters that four of eight columns tell apart; the target's are moved along one of them."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(200) % 2
    sign = 2.0 * y - 1
    x = torch.randn(200, 8, generator=g)
    x[:, :4] += sign[:, None]
    x[:, 0] += 4 if moved else 0.5 * sign
    return Labelled(x, y)


@pytest.fixture(scope="module")
def problem():
    target = unlabel(Task("side", Multiclass(2), rows(1, moved=True), test=rows(2, moved=True)))
    source = Task("lab", Multiclass(2), rows(3, moved=False))
    budget = Budget(pretrain=300, options=3, repeats=1)
    return Problem(target, [source], settings={"hidden": [16]}, budget=budget)


@pytest.mark.parametrize("name", ["mmd", pytest.param("dann", marks=pytest.mark.slow)])
def test_matching_beats_the_source_alone_without_a_target_label(problem, tmp_path, name):
    result = compare(
        problem,
        name,
        5 if name == "dann" else 4,
        baseline="source-only",
        out=tmp_path / "out",
        progress=False,
    )
    rows = {row["strategy"]: row for row in result.rows}
    assert list(rows) == ["source-only", name]
    assert rows["source-only"]["gain"] is None
    assert result.recommended == name
    assert rows[name]["gain"] > 0.05
    told = result.data["answers"][0]["without_labels"]
    assert (told["best"], told["cost"]) == (name, 0)
    assert told["worth"][name] > told["worth"]["source-only"]
    assert result.data["answers"][0]["baseline"] == "source-only"
    assert result.details["strategies"][name]["chosen_on"] == choice.INFORMATION
    assert result.data["reasons"][0].startswith("Without labels of the target: ")
    assert len(list((tmp_path / "out/settings").iterdir())) == 6  # three options of each


def test_what_needs_labels_is_skipped(problem):
    asked = applicable(problem)
    assert list(asked.strategies) == ["source+logreg", "source+svm", "source-only", "dann", "mmd"]
    assert asked.skipped["finetune"] == "the target has no labelled rows"


def test_numbers_of_shots_mean_nothing_without_labels(problem):
    short = dataclasses.replace(problem, shots=[1, 5], budget=Budget(pretrain=2, options=1))
    assert [row["shots"] for row in compare(short, "source-only", 1, baseline="source-only").rows] == [None]


def test_source_labels_that_are_missing_are_left_out(problem):
    (source,) = problem.sources
    holes = Labelled(source.train.x, torch.where(torch.arange(200) % 7 == 0, -100, source.train.y))
    task = joined(problem.target, [dataclasses.replace(source, train=holes)])
    assert len(task.train) == 171
    assert (task.train.y >= 0).all()
    changed = dataclasses.replace(
        problem, sources=[dataclasses.replace(source, train=holes)], budget=Budget(pretrain=3)
    )
    for name in applicable(changed).strategies:
        value, guard = changed.judge(STRATEGIES[name], 0, None, 0, Starts())
        assert math.isfinite(value)
        assert 0 <= guard <= 1


@pytest.mark.parametrize("name", ["source-only", "dann", "mmd"])
def test_target_labels_are_not_read(name):
    problem = images()
    shuffled = Labelled(problem.target.train.x, problem.target.train.y.flip(0))
    other = dataclasses.replace(problem, target=dataclasses.replace(problem.target, train=shuffled))
    nets = [STRATEGIES[name].run(Trial(p, STRATEGIES[name].options[0], 0)).net for p in (problem, other)]
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", ["dann", "mmd"])
def test_bare_rows_matter(name):
    problem = images()
    bare = dataclasses.replace(problem.target.unlabelled, x=problem.target.unlabelled.x.flip(3))
    other = dataclasses.replace(problem, target=dataclasses.replace(problem.target, unlabelled=bare))
    nets = [STRATEGIES[name].run(Trial(p, STRATEGIES[name].options[0], 0)).net for p in (problem, other)]
    states = [net.state_dict() for net in nets]
    assert not all(torch.equal(states[0][key], states[1][key]) for key in states[0])
