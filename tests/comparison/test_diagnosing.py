"""The kind of shift, told before anything is trained."""

import dataclasses
import json

import pytest
import torch

from headstart.comparison import Problem, choice, compare, diagnosing
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts
from headstart.tasks import Inputs, Labelled, Multiclass, Task


def clusters(seed, share, move=0.0, rows=200):
    g = torch.Generator().manual_seed(seed)
    y = (torch.rand(rows, generator=g) < share).long()
    x = torch.randn(rows, 4, generator=g)
    x[:, 0] += 4 * y - 2
    return x + move, y


def posed(kind):
    """Pose a made shift as a target without labels; its test labels are of nothing that is asked here."""
    x, y = clusters(0, 0.5)
    new, _ = clusters(1, 0.15 if kind == "label" else 0.5, move=3.0 * (kind == "conditional"))
    classes = Multiclass(["a", "b"])
    none = Labelled(new[:0], torch.zeros(0, dtype=torch.long))
    test = Labelled(new[:60], (new[:60, 0] > 0).long())
    target = Task("new", classes, none, unlabelled=Inputs(new), test=test)
    budget = Budget(pretrain=5, options=1, repeats=1)
    return Problem(target, [Task("old", classes, Labelled(x, y))], settings={"hidden": [6]}, budget=budget)


@pytest.mark.parametrize("kind", ["none", "label", "conditional"])
def test_the_kind_is_told_before_training(kind, tmp_path):
    told = posed(kind).shifts(tmp_path)["new"]
    assert told["kind"] == kind
    assert json.loads(json.dumps(told)) == told
    assert list(told["class_ratio"]) == ["a", "b"]


def test_result_and_reasons_say_it():
    result = compare(posed("label"), "bbse", 2, baseline="source+logreg", progress=False)
    assert result.data["shifts"]["new"]["kind"] == "label"
    (said, *_) = result.data["reasons"]
    assert "Before training: the classes come in other shares" in said
    assert "correct the shares (bbse)" in said


def test_nothing_is_said_where_nobody_can_know(tmp_path):
    problem = posed("none")
    (source,) = problem.sources
    for train in (
        source.train.take(torch.arange(5)),
        Labelled(source.train.x, torch.zeros(len(source.train), dtype=torch.long)),
    ):
        few = dataclasses.replace(problem, sources=[dataclasses.replace(source, train=train)])
        assert few.shifts(tmp_path) == {}
    bare = dataclasses.replace(problem.target, unlabelled=None)
    assert diagnosing.shift(problem.with_rows(targets=[bare]), Starts()) is None


def test_ways_say_whether_they_align():
    ways = STRATEGIES | FURTHER
    assert {
        ways[name].aligns for name in ("mmd", "dann", "coral", "adabn", "coral+logreg", "tca+logreg")
    } == {True}
    assert {ways[name].aligns for name in ("source-only", "bbse", "iw+logreg", "mcc", "finetune")} == {False}


def test_what_corrects_the_shares_is_trusted_where_they_differ(tmp_path):
    problem = posed("label")
    shifts = problem.shifts(tmp_path)
    torch.testing.assert_close(
        diagnosing.ratio(shifts["new"]), torch.tensor(list(shifts["new"]["class_ratio"].values())).double()
    )
    ways = STRATEGIES | FURTHER

    def worth(name, shifts):
        return problem.judge(ways[name], 0, None, 0, Starts(), shifts)[0]

    assert worth("bbse", shifts) > worth("source+logreg", shifts)
    assert worth("bbse", shifts) > worth("bbse", {})  # which takes the source's shares for the target's
    assert diagnosing.ratio(posed("conditional").shifts(tmp_path)["new"]) is None
    result = compare(problem, "bbse", 2, progress=False)
    assert result.recommended == "bbse"


def test_what_aligns_is_not_recommended_under_label_shift():
    ways = ["coral+logreg", "bbse"]
    result = compare(posed("label"), ways, 3, progress=False)
    told = result.data["answers"][0]["without_labels"]
    assert told["refused"] == ["coral+logreg"]
    assert "coral+logreg" not in told["worth"]
    assert result.recommended in ("bbse", "source+logreg", "source+svm", "source-only")
    assert "Not trusted, because they align features: coral+logreg." in result.data["reasons"][0]


def test_test_labels_do_not_choose():
    """Turn all test labels around: what is recommended stays, and what it cost is told."""
    problem = posed("conditional")
    (target,) = problem.targets
    turned = dataclasses.replace(target, test=Labelled(target.test.x, 1 - target.test.y))
    one, other = (
        compare(dataclasses.replace(problem, target=t), "coral+logreg", 3, progress=False)
        for t in (target, turned)
    )
    assert one.recommended == other.recommended
    told = other.data["answers"][0]["without_labels"]
    assert told["worth"] == one.data["answers"][0]["without_labels"]["worth"]
    assert told["best"] != other.recommended
    assert told["cost"] > 0
    assert "The choice cost" in other.data["reasons"][0]


def test_labelled_rows_of_the_target_choose_where_they_are_asked_for():
    problem = posed("conditional")
    (target,) = problem.targets
    with pytest.raises(
        ValueError, match='`valid` of the target should be rows with labels, for validator="labels"'
    ):
        dataclasses.replace(problem, validator="labels")
    with pytest.raises(ValueError, match="`validator` should be a known name"):
        dataclasses.replace(problem, validator="oracle")
    there = dataclasses.replace(target, valid=target.test)
    quiet, asked = (
        dataclasses.replace(problem, target=there, validator=name) for name in ("sound", "labels")
    )
    way = FURTHER["coral+logreg"]
    assert quiet.choice(way, None).how == choice.INFORMATION
    assert asked.choice(way, None).how == choice.VALID
    assert asked.judge(way, 0, None, 0, Starts())[0] <= 1
