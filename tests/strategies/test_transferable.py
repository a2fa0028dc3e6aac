"""Columns whose relation to the label differs at the source, and sources that weigh by their likeness."""

import dataclasses

import pytest
import torch

import headstart as hs
from headstart.comparison import Problem, compare
from headstart.datasets import transferable
from headstart.datasets.readers.tables import TableEncoding
from headstart.engine import predict
from headstart.measure import mixture
from headstart.strategies import FURTHER, STRATEGIES, Budget, Trial
from headstart.strategies.recipes.plain import LOGISTIC, learn
from headstart.strategies.recipes.shallow import both
from headstart.strategies.recipes.ways import mixed
from headstart.tasks import Inputs, Labelled, Multiclass, Regression, Task
from headstart.testing import check_strategy

KIND = Multiclass(["no", "yes"])
TINY = Budget(steps=4, pretrain=4, options=2, repeats=1)
NAMES = ("a", "b", "c", "d")


def drawn(rows, seed, turned=(), kind=KIND):
    """Draw rows of four columns that tell the label, some of them the other way round."""
    y = torch.arange(rows) % 2
    sign = torch.ones(4)
    sign[list(turned)] = -1
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed)) + (2 * y[:, None] - 1) * sign
    return Labelled(x, y if kind.classes else y[:, None].double())


def posed(turned=(0, 1), kind=KIND, rows=40, **changes):
    parts = {"test": drawn(400, 2, kind=kind), "unlabelled": Inputs(drawn(60, 3).x)}
    target = Task("new", kind, drawn(rows, 1, kind=kind), **parts)
    source = Task("old", kind, drawn(300, 4, turned, kind=kind))
    return Problem(target, [source], **{"settings": {"hidden": [6]}, "budget": TINY} | changes)


def learned(name, problem, **settings):
    strategy = (STRATEGIES | FURTHER)[name]
    return strategy.learn(Trial(problem, dict(strategy.options[0]) | settings, 0))


def accuracy(name, problem):
    said = predict(learned(name, problem).net, "new", problem.target.test.x, progress=False)
    return float((said.argmax(1) == problem.target.test.y).double().mean())


def test_they_keep_the_contract():
    check_strategy(FURTHER["transferable+logreg"], posed())
    check_strategy(FURTHER["transferable+ridge"], posed(kind=Regression()))


def test_columns_that_turn_are_left_out_and_the_others_serve():
    problem = posed()
    assert learned("transferable+logreg", problem).told == {"dropped": {"old": ["column 1", "column 2"]}}
    assert accuracy("transferable+logreg", problem) > accuracy("pooled+logreg", problem) + 0.02
    told = transferable(problem.target, problem.sources[0], range(4), 2.0)
    assert told == [None, None, 2, 3]


def test_where_none_is_left_out_it_is_the_pool():
    problem = posed(turned=())
    same = learned("transferable+logreg", problem, least=9.0)
    pool = learned("pooled+logreg", problem)
    assert same.told == {"dropped": {"old": []}}
    rows = problem.target.test.x
    torch.testing.assert_close(*(predict(each.net, "new", rows, progress=False) for each in (same, pool)))


def test_a_source_of_which_nothing_agrees_is_left_alone():
    problem = posed(turned=range(4))
    alone = Problem(problem.target, (), settings={"hidden": [6]}, budget=TINY)
    rows = problem.target.test.x
    without = learned("transferable+logreg", problem)
    assert without.told["dropped"] == {"old": [f"column {k}" for k in (1, 2, 3, 4)]}
    trial = Trial(alone, dict(FURTHER["transferable+logreg"].options[0]), 0)
    expected = predict(learn(trial, LOGISTIC, (trial.labelled(), 1)).net, "new", rows, progress=False)
    torch.testing.assert_close(predict(without.net, "new", rows, progress=False), expected)


def test_sources_with_other_columns_are_taken_by_name():
    problem = posed()
    (old,) = problem.sources
    narrow = dataclasses.replace(
        old,
        train=dataclasses.replace(old.train, x=old.train.x[:, [2, 0]]),
        encoding=TableEncoding.plain(("c", "a")),
    )
    target = dataclasses.replace(problem.target, encoding=TableEncoding.plain(NAMES))
    asked = Problem(target, [narrow], settings={"hidden": [6]}, budget=TINY)
    assert [one.name for one in asked.unlike] == ["old"]
    assert learned("transferable+logreg", asked).told == {"dropped": {"old": ["a, 0"]}}


def test_what_it_asks_for_is_told():
    needs = FURTHER["transferable+logreg"].needs
    assert needs(posed()) == ""
    assert "8 labelled rows, too few to tell which columns agree (10)" in needs(posed(rows=8))
    assert (
        needs(posed(kind=Regression())) != "" == FURTHER["transferable+ridge"].needs(posed(kind=Regression()))
    )
    few = dataclasses.replace(posed().sources[0], train=drawn(6, 4))
    assert needs(Problem(posed().target, [few])).startswith("no source of 10 labelled rows")


def test_from_few_labels_no_column_is_told_apart():
    problem = posed(rows=8)
    assert learned("transferable+logreg", problem).told == {"dropped": {"old": []}}


def test_the_report_lists_the_columns(tmp_path):
    result = compare(
        posed(shots=10), "transferable+logreg", 2, baseline="raw+logreg", out=tmp_path, progress=False
    )
    (row,) = result.details["dropped"]
    assert (row["target"], row["shots"], row["trials"]) == ("new", 10, 2)
    assert {"column 1", "column 2"} <= row["columns"]["old"].keys()
    page = (tmp_path / "report.html").read_text()
    assert "Which columns mean something else" in page
    assert "column 1 (2 of 2)" in page


# Several sources, each weighed as a whole.


def sites(share=0.8, kind=KIND, **changes):
    """Pose a target that is a mixture of two sites, beside three."""

    def site(rows, seed, at):
        moved = drawn(rows, seed, kind=kind)
        return Labelled(moved.x + 6.0 * torch.eye(3, 4)[at], moved.y)

    def both_sites(rows, seed):
        one, other = site(round(share * rows), seed, 0), site(round((1 - share) * rows), seed + 1, 1)
        return Labelled(torch.cat([one.x, other.x]), torch.cat([one.y, other.y]))

    bare = site(0, 1, 0)
    target = Task("new", kind, bare, test=both_sites(100, 2), unlabelled=Inputs(both_sites(200, 5).x))
    sources = [Task(f"site {k}", kind, site(count, 10 + k, k)) for k, count in enumerate((60, 90, 120))]
    return Problem(target, sources, **{"settings": {"hidden": [6]}, "budget": TINY} | changes)


def test_mixtures_keep_the_contract():
    check_strategy(FURTHER["mixture+logreg"], sites())
    check_strategy(FURTHER["mixture+ridge"], sites(kind=Regression()))


def test_sources_weigh_by_their_share_of_the_target():
    problem = sites()
    asked = Trial(problem, dict(FURTHER["mixture+logreg"].options[0]), 0)
    made = both(asked, 4000, apart=False)
    aligned = mixed(asked, made)
    shares = mixture(torch.from_numpy(made.source), made.group, torch.from_numpy(made.target))
    assert aligned.told["shares"] == pytest.approx({"site 0": 0.8, "site 1": 0.2, "site 2": 0.0}, abs=0.02)
    weights = torch.from_numpy(aligned.weights)
    assert float(weights.mean()) == pytest.approx(1.0)
    each = torch.stack([weights[made.group == k].sum() for k in range(3)])
    torch.testing.assert_close(each / len(weights), shares)
    assert learned("mixture+logreg", problem).told == aligned.told


def test_one_source_is_no_mixture():
    problem = sites()
    one = Problem(problem.target, problem.sources[:1])
    assert FURTHER["mixture+logreg"].needs(one) == "there is one source alone with the target's classes"
    problem = sites(kind=Regression())
    one = Problem(problem.target, problem.sources[:1])
    assert (
        FURTHER["mixture+ridge"].needs(one) == "there is one source alone with the target's kind of numbers"
    )


def test_the_report_shows_the_shares(tmp_path):
    hs.compare(sites(), "mixture+logreg", 2, baseline="source+logreg", out=tmp_path, progress=False)
    page = (tmp_path / "report.html").read_text()
    assert "Which sources the target is like" in page
    assert ">80 %<" in page
