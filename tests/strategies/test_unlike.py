"""Sources whose table has other columns than the target's: set apart, taken by a few strategies, told of."""

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import headstart as hs
from headstart.comparison import Problem, applicable, compare, rank
from headstart.datasets import map_columns
from headstart.datasets.readers.tables import TableEncoding
from headstart.engine import predict
from headstart.models import save
from headstart.strategies import STRATEGIES, Budget, Trial
from headstart.strategies.recipes.unlike import Beside
from headstart.strategies.unlike import all_rows, shared, taken
from headstart.tasks import Inputs, Labelled, Multiclass, Regression, Task
from headstart.testing import check_strategy

TINY = Budget(steps=4, pretrain=4, options=2, repeats=1)
HERE, THERE = ("a", "b", "c", "d", "own"), ("theirs", "b", "more", "a", "c")
CLASSES, NUMBERS = ["shared+logreg", "filled+logreg"], ["shared+ridge", "filled+ridge"]
APART = [*CLASSES, "joint+space"]
KIND = Multiclass(["no", "yes"])


def drawn(rows, seed, columns=HERE, *, kind=KIND, useless=False, noise=0.6):
    """Draw rows with columns of a few names, the same name for the same thing; three tell the answer."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % 2
    seen = {name: torch.randn(rows, generator=generator) for name in sorted({*HERE, *THERE})}
    for name in ("a", "b", "c"):
        seen[name] = 2.0 * (y - 0.5) + noise * 2 * seen[name]
    x = torch.stack([seen[name] for name in columns], 1)
    if useless:
        y = y[torch.randperm(rows, generator=generator)]
    return Labelled(x, y if kind.classes else (3.0 * y + 10)[:, None])


def posed(*, named=True, kind=KIND, useless=False, sources=True, budget=TINY, many=20, tested=60, **changes):
    """Pose a target of few rows beside a source of many with other columns."""
    target = Task(
        "new",
        kind,
        drawn(many, 1, kind=kind),
        test=drawn(60, 2, kind=kind),
        unlabelled=Inputs(drawn(50, 3).x),
    )
    source = Task("old", kind, drawn(200, 4, THERE, kind=kind, useless=useless))
    if named:
        target = dataclasses.replace(target, encoding=TableEncoding.plain(HERE))
        source = dataclasses.replace(source, encoding=TableEncoding.plain(THERE))
    else:  # a width of its own tells
        source = dataclasses.replace(source, train=drawn(200, 4, THERE[:4], kind=kind))
    settings = {"settings": {"hidden": [6]}, "budget": budget} | changes
    return Problem(target, [source] if sources else [], **settings)


def run(name, problem, seed=0, **settings):
    strategy = STRATEGIES[name]
    return strategy.learn(Trial(problem, dict(strategy.options[0]) | settings, seed)).net


def outputs(net, problem):
    return predict(net, "new", problem.target.test.x, progress=False)


# Which sources are set apart.


def test_a_source_with_other_columns_is_set_apart_and_others_are_not():
    problem = posed()
    assert (problem.sources, [one.name for one in problem.unlike]) == ((), ["old"])
    assert [one.name for one in posed(named=False).unlike] == ["old"]
    like = dataclasses.replace(problem.unlike[0], name="like", train=drawn(30, 5))
    alike = dataclasses.replace(like, encoding=problem.target.encoding)
    assert [s.name for s in Problem(problem.target, [alike]).sources] == ["like"]
    turned = dataclasses.replace(like, encoding=TableEncoding.plain(HERE[::-1]))  # the same, elsewhere
    assert [s.name for s in Problem(problem.target, [turned]).unlike] == ["like"]


def test_copies_of_a_problem_keep_it():
    problem = posed()
    again = dataclasses.replace(problem, shots=2)
    assert [one.name for one in again.unlike] == ["old"]
    assert not problem.without(["old"]).unlike
    assert [one.name for one in problem.without(["other"]).unlike] == ["old"]
    assert problem.hashes().keys() >= {"rows of source old"}
    bare = dataclasses.replace(
        problem.unlike[0], encoding=TableEncoding.plain(("b", "theirs", "x", "a", "c"))
    )
    assert Problem(problem.target, [bare]).hashes() != problem.hashes()  # other columns are shared


def test_of_several_the_one_with_most_labels_is_taken():
    problem = posed()
    (old,) = problem.unlike
    other = dataclasses.replace(old, name="larger", encoding=None, train=drawn(300, 7, THERE[:3]))
    both = Problem(problem.target, [old, other], budget=TINY)
    assert taken(both.target, both.shared_unlike()).name == "larger"
    assert taken(both.target, both.shared_unlike(), named=True).name == "old"
    assert shared(problem.target, old) == [None, 1, None, 0, 2]


# What each learns.


@pytest.mark.parametrize("name", APART)
def test_each_keeps_the_contract(name):
    check_strategy(STRATEGIES[name], posed())


@pytest.mark.parametrize("name", NUMBERS)
def test_those_of_numbers_keep_it_too(name):
    check_strategy(STRATEGIES[name], posed(kind=Regression()))


def test_encoders_keep_it_for_numbers_and_for_rows_without_names():
    check_strategy(STRATEGIES["joint+space"], posed(kind=Regression()))
    check_strategy(STRATEGIES["joint+space"], posed(named=False))
    assert (
        STRATEGIES["shared+logreg"]
        .needs(posed(named=False))
        .startswith("no source with other columns shares")
    )


def narrowed(task, columns):
    rows = dataclasses.replace(task.train, x=task.train.x[:, columns])
    return dataclasses.replace(task, train=rows, test=None, unlabelled=None, encoding=None)


@pytest.mark.parametrize(("kind", "way"), [(KIND, "logreg"), (Regression(), "ridge")])
def test_shared_columns_alone_are_a_pool_of_narrower_rows(kind, way):
    problem = posed(kind=kind)
    test = problem.target.test
    target = narrowed(problem.target, [0, 1, 2])
    narrow = Problem(
        dataclasses.replace(target, test=dataclasses.replace(test, x=test.x[:, :3])),
        [narrowed(problem.unlike[0], [3, 1, 4])],
    )
    net = run(f"shared+{way}", problem)
    torch.testing.assert_close(outputs(net, problem), outputs(run(f"pooled+{way}", narrow), narrow))
    other = test.x.clone()
    other[:, 3:] += 100.0
    assert torch.equal(predict(net, "new", other, progress=False), outputs(net, problem))


@pytest.mark.parametrize(("kind", "way"), [(KIND, "logreg"), (Regression(), "ridge")])
def test_filled_columns_are_those_of_a_map(kind, way):
    problem = posed(kind=kind)
    target, (source,) = problem.target, problem.unlike
    columns = [None, 1, None, 0, 2]
    known = dataclasses.replace(target, unlabelled=Inputs(all_rows(target)))
    known = dataclasses.replace(known, train=target.train.take(torch.arange(0)))
    plain = Problem(target, [map_columns(known, columns)(source)])
    expected = outputs(run(f"pooled+{way}", plain), plain)
    torch.testing.assert_close(outputs(run(f"filled+{way}", problem), problem), expected)


def test_columns_that_both_have_go_in_by_the_nets_own_weights():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU()).double()
    beside = Beside(layers, [0, 1, 2], [3, 1, 4], 5).double()
    assert {name for name, _ in beside.named_parameters()} == {"other.weight", "other.bias"}
    x = torch.randn(7, 5).double()
    first = x[:, [3, 1, 4]] @ layers[0].weight[:, :3].T + x[:, [0, 2]] @ beside.other.weight[:, [0, 2]].T
    expected = F.relu(layers[2](F.relu(first + beside.other.bias)))
    torch.testing.assert_close(beside(x), expected)
    with torch.no_grad():
        layers[0].weight.zero_()  # trained with the net: no copy
    assert not torch.allclose(beside(x), expected)


@pytest.mark.parametrize("named", [True, False])
def test_encoders_read_the_targets_rows_as_they_are(named):
    """A table that was read has its units; tensors of the caller's own are standardised by their rows."""
    problem = posed(named=named)
    backbone = run("joint+space", problem).backbone
    bare = all_rows(problem.target)
    mean, spread = (torch.zeros(5), torch.ones(5)) if named else (bare.mean(0), bare.std(0, correction=0))
    torch.testing.assert_close(backbone.mean, mean)
    torch.testing.assert_close(backbone.spread, spread)


@pytest.mark.parametrize("name", APART)
def test_what_comes_out_is_a_net_like_every_other(name, tmp_path):
    problem = posed()
    net = run(name, problem)
    save(net, tmp_path / "model", kinds={"new": KIND}, encoding=problem.target.encoding)
    model = hs.load(tmp_path / "model")
    assert model.predict(problem.target.test.x) == [KIND.classes[k] for k in outputs(net, problem).argmax(1)]


# What is told.


def test_who_did_not_use_it_is_told(tmp_path):
    problem = posed(shots=4)
    asked = applicable(problem, ["auto"])
    assert set(APART) <= asked.strategies.keys()
    for name in ("multitask", "finetune", "pooled+logreg", "protonet", "source+logreg"):
        assert "no source with the target's columns ('old' has others)" in asked.skipped[name]
    assert asked.skipped["shared+ridge"] == "the target has classes"
    result = compare(problem, "shared+logreg", 2, baseline="raw+logreg", out=tmp_path, progress=False)
    said = (
        "Source old has other columns than the target (3 of the target's 5 are shared): shared+logreg "
        "learned from it, all other ways ran without it."
    )
    assert said in result.data["reasons"]
    (told,) = json.loads((tmp_path / "details.json").read_text())["sources"]
    assert told["unlike"] == {"columns": 5, "of": 5, "shared": 3}
    assert ", other columns than the target's" in (tmp_path / "report.html").read_text()
    alone = compare(posed(named=False), "raw+logreg", 2, baseline="raw+logreg", progress=False)
    assert alone.data["reasons"][-1] == (
        "Source old has other columns than the target (4 in place of 5, none known to be shared): no way "
        "that ran takes such rows, so all ran without it."
    )


def test_a_source_that_answers_something_else_is_told():
    problem = posed()
    other = dataclasses.replace(problem.unlike[0], kind=Multiclass(["no", "maybe"]))
    asked = Problem(problem.target, [other], budget=TINY)
    said = "no source with other columns has the target's classes: 'old' lacks 'yes', has 'maybe' besides"
    assert {STRATEGIES[name].needs(asked) for name in APART} == {said}
    none = {STRATEGIES[name].needs(posed(sources=False)) for name in APART}
    assert none == {"no source has other columns than the target"}


def test_other_backbones_and_few_rows_are_told():
    own = dataclasses.replace(posed(), backbone=nn.Linear(5, 4), settings={})
    assert STRATEGIES["joint+space"].needs(own) == "the backbone is no `mlp` that learns from the start"
    few = dataclasses.replace(posed().target, train=drawn(6, 1), unlabelled=None)
    assert STRATEGIES["filled+logreg"].needs(Problem(few, posed().unlike)) == (
        "the target has 6 rows, too few to fill columns by (10)"
    )


def test_sources_that_no_net_reads_are_not_ranked():
    with pytest.raises(ValueError, match="found none with the target's columns, and no pretrained backbone"):
        rank(posed())


@pytest.mark.parametrize("named", [True, False])
def test_without_a_label_of_the_target_it_is_refused(named):
    problem = posed(named=named)
    bare = dataclasses.replace(problem.target, train=problem.target.train.take(torch.arange(0)))
    with pytest.raises(
        ValueError, match=r"rows of source 'old' should be .* has a label; found .*joint\+space"
    ) as told:
        Problem(bare, problem.unlike)
    assert ("map_columns" in str(told.value)) == named
    like = Task("like", KIND, drawn(40, 8), encoding=problem.target.encoding)
    assert [s.name for s in Problem(bare, [like, *problem.unlike]).sources] == [
        "like"
    ]  # something can be done


def test_beside_sources_like_the_target_each_way_takes_its_own(plain_family):
    problem = posed()
    like = [Task(f"like{n}", KIND, drawn(40 + n, 8 + n), encoding=problem.target.encoding) for n in (0, 1)]
    mixed = Problem(problem.target, [*like, *problem.unlike], settings={"hidden": [6]}, budget=TINY, shots=2)
    assert mixed.sources_of() == ["like0", "like1"]  # which are left out in turn
    result = compare(mixed, ["pooled+logreg", "shared+logreg"], 3, progress=False)
    assert {row["source"] for row in result.data["sources"]} == {"like0", "like1"}
    assert {row["strategy"] for row in result.data["sources"]} == {"pooled+logreg"}
    alone = dataclasses.replace(mixed, sources=[])
    for name in APART:
        assert torch.equal(outputs(run(name, mixed), mixed), outputs(run(name, alone), alone))


def test_of_several_targets_each_has_its_own():
    problem = posed()
    first = problem.target
    other = dataclasses.replace(first, name="other", train=Labelled(first.train.x, 1 - first.train.y))
    both = Problem(targets=[first, other], sources=problem.unlike, settings={"hidden": [6]}, budget=TINY)
    result = compare(both, ["shared+logreg"], 2, baseline="raw+logreg", progress=False)
    assert {row["target"] for row in result.rows if row["strategy"] == "shared+logreg"} == {"new", "other"}


# Does it help?


@pytest.fixture
def plain_family(monkeypatch):
    monkeypatch.setattr("headstart.comparison.problem.NO_REUSE", ("raw+logreg", "scratch"))


@pytest.mark.usefixtures("plain_family")
@pytest.mark.parametrize(
    "ways", [["shared+logreg", "filled+logreg"], pytest.param(["joint+space"], marks=pytest.mark.slow)]
)
def test_a_source_that_helps_gains_and_one_that_says_nothing_is_not_recommended(ways):
    changes = {"budget": Budget(steps=100, options=1), "settings": {"hidden": [16]}, "shots": 1, "many": 60}
    for useless in (False, True):
        problem = posed(useless=useless, tested=400, **changes)
        result = compare(problem, ways, 8, progress=False)
        verdicts = {row["strategy"]: row["verdict"] for row in result.rows if row["strategy"] in ways}
        if useless:
            assert "gains" not in verdicts.values()
            assert result.recommended not in ways
        else:
            assert set(verdicts.values()) == {"gains"}
            assert result.recommended in ways
