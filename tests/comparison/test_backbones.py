"""Several backbones in one problem: each strategy on each, and training only where it is worth it."""

import dataclasses
import json

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.comparison import Problem, compare, finalists
from headstart.comparison.plan import applicable
from headstart.strategies import STRATEGIES, Candidate, Situation, bound
from headstart.tasks import Labelled, Multiclass, Task

from .problems import TINY, few_without_reuse, numbers


def seeing(weight):
    """Make a backbone of two features, whose weights are these."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    with torch.no_grad():
        net[0].weight.copy_(weight)
        net[0].bias.zero_()
    return net


def problem(**changes):
    given = {"knowing": seeing(torch.eye(2)), "blind": seeing(torch.zeros(2, 2))}
    target = Task("new", Multiclass(2), numbers(20, 1), test=numbers(20, 2))
    return Problem(target, **{"backbones": given, "budget": TINY} | changes)


def test_each_strategy_stands_once_for_each_backbone(monkeypatch):
    few_without_reuse(monkeypatch, "constant", "scratch")
    asked = applicable(problem(), ["probe", "finetune@blind"])
    assert list(asked.strategies) == [
        "constant", "scratch@knowing", "scratch@blind", "probe@knowing", "probe@blind", "finetune@blind",
    ]  # fmt: skip
    assert asked.strategies["probe@blind"].backbone == "blind"


def test_what_trains_runs_only_on_a_backbone_that_held_out_rows_do_not_refuse(monkeypatch, tmp_path):
    few_without_reuse(monkeypatch, "constant", "raw+logreg", "scratch")
    result = compare(problem(shots=[8]), ["probe", "finetune"], 3, out=tmp_path / "out")
    by_name = {row["strategy"]: row["backbone"] for row in result.rows}
    assert by_name == {
        "constant": None, "raw+logreg": None, "scratch@knowing": "knowing",
        "probe@knowing": "knowing", "probe@blind": "blind", "finetune@knowing": "knowing",
    }  # fmt: skip
    assert "held-out rows" in result.details["skipped"]["finetune@blind"]
    told = {row["backbone"]: row["trained"] for row in result.details["promises"]}
    assert told == {"knowing": True, "blind": False}
    means = {row["strategy"]: row["mean"] for row in result.rows}
    assert means["probe@knowing"] > means["probe@blind"]
    again = compare(problem(shots=[8]), ["probe", "finetune"], 3, out=tmp_path / "out")
    assert again.rows == result.rows


def test_a_strategy_that_is_named_with_its_backbone_runs_whatever_is_promised(monkeypatch):
    few_without_reuse(monkeypatch, "constant")
    result = compare(problem(shots=[8]), ["finetune@blind", "probe"], 1)
    assert "finetune@blind" in {row["strategy"] for row in result.rows}


def test_the_model_that_is_saved_is_of_its_own_backbone(monkeypatch, tmp_path):
    few_without_reuse(monkeypatch, "constant")
    wide = Candidate("mlp", settings={"hidden": [7]})
    source = Task("old", Multiclass(3), numbers(12, 3, classes=3))
    target = Task("new", Multiclass(2), numbers(20, 1), test=numbers(20, 2))
    both = {"narrow": Candidate("mlp", settings={"hidden": [3]}), "wide": wide}
    asked = Problem(target, [source], backbones=both, budget=TINY, shots=[8])
    compare(asked, ["finetune"], 1, out=tmp_path / "out")
    for name, width in (("narrow", 3), ("wide", 7)):
        net = hs.load(tmp_path / "out" / "models" / f"finetune@{name}").net
        assert net.backbone.width == width
    assert json.loads((tmp_path / "out" / "details.json").read_text())["promises"] == []  # none is pretrained


def test_pretraining_is_kept_apart_for_each_backbone():
    source = Task("old", Multiclass(3), numbers(12, 3, classes=3))
    both = {
        "narrow": Candidate("mlp", settings={"hidden": [3]}),
        "wide": Candidate("mlp", settings={"hidden": [7]}),
    }
    asked = Problem(problem().target, [source], backbones=both, budget=TINY)
    starts = hs.strategies.Starts()
    trial = hs.strategies.Trial(asked, STRATEGIES["probe"].settings({}), 0, starts)
    for name, width in (("narrow", 3), ("wide", 7), ("narrow", 3)):
        net = bound(STRATEGIES["probe"], name).learn(trial).net
        assert net.backbone.width == width


def test_results_differ_by_the_settings_of_any_of_the_backbones():
    one = problem(backbones={"a": Candidate("mlp"), "b": Candidate("mlp", settings={"hidden": [3]})})
    two = problem(backbones={"a": Candidate("mlp"), "b": Candidate("mlp", settings={"hidden": [4]})})
    assert one.fingerprint() != two.fingerprint()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backbone": "mlp"}, "`backbone`, `weights` and `settings` should be left out beside `backbones`"),
        ({"settings": {"hidden": [2]}}, "should be left out beside `backbones`"),
        ({"backbones": {"a b": "mlp"}}, 'name of a backbone should be letters, digits .* found "a b"'),
        ({"backbones": {"a@b": "mlp"}}, "name of a backbone should be"),
    ],
)
def test_what_is_wrong_with_backbones_is_told(changes, told):
    with pytest.raises(ValueError, match=told):
        problem(**changes)


def test_worth_keeps_all_where_seeds_do_not_tell_them_apart():
    even = {"a": [0.5, 0.9, 0.7], "b": [0.8, 0.6, 0.65]}
    assert finalists.worth(even, 0.01) == {"a": True, "b": True}


def test_a_situation_takes_another_backbone_and_stays_as_it_is():
    both = problem()
    assert isinstance(both, Situation)
    assert both.using("blind").backbone is both.backbones["blind"].use
    assert both.backbone is both.backbones["knowing"].use
    assert isinstance(both.target.train, Labelled)


def test_a_copy_with_other_fields_keeps_the_backbone_that_was_taken():
    other = dataclasses.replace(problem().using("blind"), shots=3)
    assert (other.using_now, other.shots) == ("blind", 3)
